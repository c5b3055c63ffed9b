//! A packet at a hook: what the kernel says about it, its bytes, copies of it. No RFC.

use core::ffi::c_void;

use aya_ebpf::bindings::{__sk_buff, BPF_F_RECOMPUTE_CSUM};
use aya_ebpf::helpers::{
    bpf_clone_redirect, bpf_loop, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes,
    bpf_skb_vlan_pop,
};
use aya_ebpf::programs::TcContext;
use relay_ebpf_common::headers::{Outside, Start};
use relay_ebpf_common::output::Envelope;
use relay_ebpf_common::scratch::{Frame, HEAD_WORDS, TEXT_WORDS, Text};
use relay_ebpf_common::tables::Rounds;
use relay_ebpf_common::verdict::Reason;
use relay_ebpf_common::word::opaque;

/// Bytes of Ethernet's header.
pub const ETHERNET: u32 = 14;

/// A packet.
#[derive(Clone, Copy)]
pub struct Packet {
    skb: *mut __sk_buff,
}

impl Packet {
    /// That of the program's context.
    #[inline(always)]
    pub fn new(ctx: &TcContext) -> Self {
        Self { skb: ctx.skb.skb }
    }

    #[inline(always)]
    fn fields(&self) -> &__sk_buff {
        // SAFETY: the kernel gave us this context, and the verifier sees to it that reads of its fields are
        // allowed.
        unsafe { &*self.skb }
    }

    /// What is known without looking into it.
    #[inline(always)]
    pub fn outside(&self) -> Outside {
        let fields = self.fields();
        Outside {
            ether_type: (fields.protocol as u16).swap_bytes(),
            len: u64::from(fields.len).saturating_sub(u64::from(ETHERNET)),
            is_gso: fields.gso_size != 0,
        }
    }

    /// The interface.
    #[inline(always)]
    pub fn ifindex(&self) -> u32 {
        self.fields().ifindex
    }

    /// Its mark.
    #[inline(always)]
    pub fn mark(&self) -> u32 {
        self.fields().mark
    }

    /// Sets it.
    #[inline(always)]
    pub fn set_mark(&self, mark: u32) {
        // SAFETY: programs of this type may write the field.
        unsafe { (*self.skb).mark = mark };
    }

    /// Loads the beginning, from the IP header on, as far as there is any.
    #[inline(always)]
    pub fn load_start(&self, start: &mut Start) -> Result<(), Reason> {
        let len = self.outside().len;
        let most = size_of::<Start>() as u64;
        let len = within(len.min(most), most).ok_or(Reason::TooShort)?;
        // SAFETY: `start` has room for `len` bytes, and any bytes are words.
        let result = unsafe {
            bpf_skb_load_bytes(
                self.skb.cast(),
                ETHERNET,
                start.as_mut_ptr().cast::<c_void>(),
                len,
            )
        };
        done(result, Reason::PullFailed)
    }

    /// Loads `len` bytes from `at` (counted from the IP header).
    #[inline(always)]
    pub fn load_text(&self, at: u64, text: &mut Text, len: u64) -> Result<(), Reason> {
        let len = within(len, TEXT_BYTES).ok_or(Reason::TooLong)?;
        // SAFETY: `text` has room for `len` bytes, and any bytes are words.
        let result = unsafe {
            bpf_skb_load_bytes(
                self.skb.cast(),
                (at as u32).wrapping_add(ETHERNET),
                text.as_mut_ptr().cast::<c_void>(),
                len,
            )
        };
        done(result, Reason::PullFailed)
    }

    /// The MACs: source, then destination.
    #[inline(always)]
    pub fn macs(&self) -> Result<[u8; 12], Reason> {
        let mut macs = [0_u8; 12];
        // SAFETY: `macs` has room for its length.
        let result = unsafe {
            bpf_skb_load_bytes(
                self.skb.cast(),
                0,
                macs.as_mut_ptr().cast::<c_void>(),
                size_of_val(&macs) as u32,
            )
        };
        done(result, Reason::PullFailed)?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = macs;
        Ok([s0, s1, s2, s3, s4, s5, d0, d1, d2, d3, d4, d5])
    }

    /// Sends a copy with this mark out of an interface; its egress hook runs before this returns.
    #[inline(always)]
    pub fn clone_to(&self, ifindex: u32, mark: u32) -> bool {
        self.set_mark(mark);
        // SAFETY: the verifier checks what this needs; we hold no pointers into the packet.
        unsafe { bpf_clone_redirect(self.skb, ifindex, 0) >= 0 }
    }

    /// Makes this a packet of `len` bytes of UDP payload (the end of the head, then the text) behind these headers.
    #[inline(always)]
    pub fn write(
        &self,
        is_ipv4: bool,
        envelope: &Envelope,
        frame: &Frame,
        header_len: u64,
        len: u64,
    ) -> Result<(), Reason> {
        let (at, headers) = if is_ipv4 {
            (Envelope::IPV4_AT, Envelope::IPV4_LEN)
        } else {
            (Envelope::IPV6_AT, Envelope::IPV6_LEN)
        };
        let head = HEAD_WORDS as u64 * 8;
        let before = within(head.wrapping_sub(header_len), head).ok_or(Reason::Burnt)?;
        let len = within(len, TEXT_BYTES).ok_or(Reason::Burnt)?;
        self.resize(len.wrapping_add(headers as u32))?;
        // SAFETY: the envelope has `headers` bytes from `at` on.
        let result = unsafe {
            let from = core::ptr::from_ref(&envelope.words).cast::<u8>().add(at);
            bpf_skb_store_bytes(
                self.skb,
                0,
                from.cast(),
                headers as u32,
                u64::from(BPF_F_RECOMPUTE_CSUM),
            )
        };
        done(result, Reason::Burnt)?;
        // SAFETY: head and text follow each other, and have `header_len` and more than `len` bytes.
        let result = unsafe {
            let from = core::ptr::from_ref(frame).cast::<u8>();
            let from = from.add(before as usize);
            bpf_skb_store_bytes(
                self.skb,
                headers as u32,
                from.cast(),
                len,
                u64::from(BPF_F_RECOMPUTE_CSUM),
            )
        };
        done(result, Reason::Burnt)
    }

    #[inline(always)]
    fn resize(&self, len: u32) -> Result<(), Reason> {
        if self.fields().vlan_present != 0 {
            // SAFETY: the verifier checks what this needs.
            done(unsafe { bpf_skb_vlan_pop(self.skb) }, Reason::Burnt)?;
        }
        if self.fields().len == len {
            return Ok(());
        }
        // SAFETY: as above.
        done(
            unsafe { bpf_skb_change_tail(self.skb, len, 0) },
            Reason::Burnt,
        )
    }

    /// Takes off what it has of the publisher's packet and of us.
    #[inline(always)]
    pub fn forget(&self) {
        // SAFETY: programs of this type may write these fields, each for itself.
        unsafe {
            (&raw mut (*self.skb).mark).write_volatile(0);
            (&raw mut (*self.skb).priority).write_volatile(0);
            (&raw mut (*self.skb).queue_mapping).write_volatile(0);
            (&raw mut (*self.skb).tstamp).write_volatile(0);
        }
    }
}

/// Does something up to `times` times.
#[inline(always)]
pub fn repeat<R: Rounds>(times: u64, rounds: &mut R) {
    // SAFETY: the kernel calls `round::<R>` with this very pointer, and not after this returns.
    unsafe {
        bpf_loop(
            times as u32,
            round::<R> as *const () as *mut c_void,
            core::ptr::from_mut(rounds).cast::<c_void>(),
            0,
        )
    };
}

/// What the kernel calls: zero means go on.
#[inline(never)]
extern "C" fn round<R: Rounds>(index: u64, rounds: *mut c_void) -> i64 {
    // SAFETY: see `repeat`.
    let rounds = unsafe { &mut *rounds.cast::<R>() };
    i64::from(!rounds.round(index))
}

/// A length from 1 to `most`, in a way that the verifier can follow: one comparison after the other.
#[inline(always)]
fn within(len: u64, most: u64) -> Option<u32> {
    let len = opaque(len);
    if len > most {
        return None;
    }
    let len = opaque(len);
    (len != 0).then_some(len as u32)
}

#[inline(always)]
fn done(result: i64, otherwise: Reason) -> Result<(), Reason> {
    if result == 0 { Ok(()) } else { Err(otherwise) }
}

/// Ciphertext and tag, or header and ciphertext and tag, are shorter.
const TEXT_BYTES: u64 = TEXT_WORDS as u64 * 8;
