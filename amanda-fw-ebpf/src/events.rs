//! Events on their way to user space, within the rate that the settings allow.

use amanda_fw_common::datapath::{self, Arrival};
use amanda_fw_common::event::{PACKET_BYTES, REQUEST_BYTES};
use amanda_fw_common::header::PacketType;
use amanda_fw_common::settings::Settings;
use amanda_fw_common::tables::Tables;
use amanda_fw_common::transaction::Inspection;
use amanda_fw_common::verdict::Counter;
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_smp_processor_id;

use crate::maps::{self, EVENTS, KernelTables, Scratch};

const SECOND: u64 = 1_000_000_000;

/// Sends a record and the head of its packet, unless this CPU has sent enough in this second.
#[inline(never)]
pub(crate) fn emit<C: EbpfContext>(ctx: &C, arrival: &Arrival, length: usize, linear: usize) {
    let (Some(settings), Some(scratch)) = (maps::settings(), maps::scratch()) else {
        return;
    };
    if !take_token(scratch, settings, arrival.now) {
        KernelTables::new().count(Counter::EventsSuppressed);
        return;
    }
    if !scratch.decision.is_inspected() {
        scratch.event.amanda = Inspection::default();
    }
    let is_request = scratch.event.amanda.packet_type == PacketType::Req.number();
    let most = if is_request { REQUEST_BYTES } else { PACKET_BYTES };
    let captured = linear.min(most) as u32;
    let Scratch { event, decision, packet, crossing, .. } = scratch;
    let place = datapath::place(arrival, settings, crossing);
    event.record(decision, packet, place, arrival.now);
    // SAFETY: the helper has no precondition.
    event.cpu = unsafe { bpf_get_smp_processor_id() };
    event.length = length as u32;
    event.captured = captured;
    EVENTS.output(ctx, event.as_bytes(), captured);
}

#[inline(always)]
fn take_token(scratch: &mut Scratch, settings: &Settings, now: u64) -> bool {
    if now.wrapping_sub(scratch.second) >= SECOND {
        scratch.second = now;
        scratch.sent = 0;
    }
    let allowed = scratch.sent < u64::from(settings.event_rate);
    if allowed {
        scratch.sent = scratch.sent.wrapping_add(1);
    }
    allowed
}
