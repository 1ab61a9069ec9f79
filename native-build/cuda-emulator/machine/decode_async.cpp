// SPDX-License-Identifier: Apache-2.0
// cp.async: bytes are read when the copy is issued and appear in shared memory when their thread waits for them.
#include "access.h"
#include "decode.h"

namespace lacuna::emulator {

namespace {
using u32 = std::uint32_t;

void copy(Warp& w, const Instr& i) {
  const auto* to = w.at<u32>(i.b);
  unsigned bytes = i.bytes;
  alignas(64) Address from[LANES];
  addressesOf(w, i, from);
  u32 reading = w.mask;
  unsigned size[LANES];
  for (unsigned l = 0; l < LANES; l++) size[l] = bytes;
  if (i.c != NO_REF) {
    const u32* sizes = w.at<u32>(i.c);
    for (u32 m = w.mask; m != 0; m &= m - 1) {
      auto l = static_cast<unsigned>(std::countr_zero(m));
      if (sizes[l] > bytes) w.fail(i, Fault::ILLEGAL_INSTRUCTION, l, "the source has " + std::to_string(sizes[l]) + " bytes, the copy " + std::to_string(bytes));
      size[l] = sizes[l];
    }
  }
  if (i.d != NO_REF) {  // ignore-src
    u32 ignored = w.predicate(i.d);
    if (i.flags & 1) ignored = ~ignored;
    for (unsigned l = 0; l < LANES; l++) size[l] = ignored >> l & 1 ? 0 : size[l];
  }
  for (unsigned l = 0; l < LANES; l++) {
    if (size[l] == 0) reading &= ~(1u << l);
  }
  Request request;
  // A partial source is read byte by byte: only its own bytes must exist.
  u32 whole = 0;
  for (u32 m = reading; m != 0; m &= m - 1) {
    auto l = static_cast<unsigned>(std::countr_zero(m));
    if (size[l] == bytes) whole |= 1u << l;
  }
  if (whole != 0) accessGlobal(w, i, from, bytes, Access::LOAD, whole, request);
  for (u32 m = reading & ~whole; m != 0; m &= m - 1) {
    auto l = static_cast<unsigned>(std::countr_zero(m));
    if (from[l] % bytes != 0) w.fail(i, Fault::MISALIGNED, l, "source is not aligned to " + std::to_string(bytes) + " bytes");
    Address one[LANES];
    Request part;
    for (unsigned k = 0; k < size[l]; k++) {
      one[l] = from[l] + k;
      accessGlobal(w, i, one, 1, Access::LOAD, 1u << l, part);
    }
    request.at[l] = reinterpret_cast<std::byte*>(from[l]);
  }
  Address targets[LANES] = {};
  for (u32 m = w.mask; m != 0; m &= m - 1) {
    auto l = static_cast<unsigned>(std::countr_zero(m));
    u32 address = to[l] + i.target;
    targets[l] = address;
    if (address % bytes != 0) w.fail(i, Fault::MISALIGNED, l, "destination is not aligned to " + std::to_string(bytes) + " bytes");
    sharedCopyIssued(w, i, l, address, bytes);
    PendingCopy copy{address, w.copyGroup[l], static_cast<std::uint8_t>(l), static_cast<std::uint8_t>(bytes), {}};
    if (size[l] != 0) std::memcpy(copy.data.data(), request.at[l], size[l]);
    w.copies.push_back(copy);
  }
  countBanks(w.block->worker->counts, targets, bytes, w.mask);
}

/// Lands what the lanes have issued up to all but their newest `keep` groups.
void land(Warp& w, const Instr& i, u32 keep, bool uncommitted) {
  std::size_t kept = 0;
  for (std::size_t k = 0; k < w.copies.size(); k++) {
    const PendingCopy& c = w.copies[k];
    bool due = (w.mask >> c.lane & 1) && (uncommitted || c.group + keep < w.copyGroup[c.lane]);
    if (!due) {
      if (kept != k) w.copies[kept] = c;
      kept++;
      continue;
    }
    std::memcpy(w.block->shared.data() + c.to, c.data.data(), c.bytes);
    sharedCopyLanded(w, i, c.lane, c.to, c.bytes);
  }
  w.copies.resize(kept);
}

void copyForm(Decoder& d) {
  int hint = d.oneOf({"ca", "cg"});
  if (hint < 0 || d.oneOf({"shared", "shared::cta"}) < 0 || !d.has("global")) d.fail("unknown form");
  d.ignore({"L2::64B", "L2::128B", "L2::256B"});
  bool policy = d.has("L2::cache_hint");
  std::size_t most = policy ? 5 : 4;
  d.operands(policy ? 4 : 3, most);
  std::int64_t bytes = d.immediate(2);
  if (bytes != 4 && bytes != 8 && bytes != 16) d.fail("copies 4, 8 or 16 bytes");
  if (hint == 1 && bytes != 16) d.fail(".cg copies 16 bytes");
  d.out.cls = Counts::ASYNC_COPY;
  d.out.bytes = static_cast<std::uint8_t>(bytes);
  Space space = Space::SHARED;
  bool parameter = false;
  // The destination goes first through the fields that the source then keeps.
  d.address(0, space, parameter);
  if (space != Space::SHARED) d.fail("the destination lies in another space");
  d.out.b = d.out.a;
  d.out.target = static_cast<u32>(d.out.offset);
  if (!d.out.address32) {
    const Operand& base = d.operand(0).elements[0];
    if (base.kind == Operand::REGISTER) d.fail("a shared address in a 64-bit register is not supported");
    d.out.b = d.names.constant(base.kind == Operand::INTEGER ? 0 : d.names.variable(base, d.in.line).address, 4);
  }
  d.out.address32 = false;
  space = Space::GLOBAL;
  d.address(1, space, parameter);
  if (space != Space::GLOBAL || parameter) d.fail("the source lies in another space");
  if (d.in.operands.size() > 3 + (policy ? 1u : 0u)) {
    const Operand& last = d.operand(3);
    bool predicate = last.kind == Operand::REGISTER && d.names.registerType(last.index) == Type::PRED;
    if (predicate) {
      d.out.d = d.predicate(last);
      d.out.flags = last.negated;
    } else {
      d.out.c = d.source(last, Type::U32);
    }
  }
  d.out.run = &copy;
}

void cp(Decoder& d) {
  if (!d.has("async")) d.fail("only cp.async is supported");
  d.out.cls = Counts::ASYNC_COPY;
  if (d.has("commit_group")) {
    d.operands(0);
    d.out.run = [](Warp& w, const Instr&) {
      for (u32 m = w.mask; m != 0; m &= m - 1) w.copyGroup[std::countr_zero(m)]++;
    };
  } else if (d.has("wait_group")) {
    d.operands(1);
    d.out.offset = d.immediate(0);
    d.out.run = [](Warp& w, const Instr& i) { land(w, i, static_cast<u32>(i.offset), false); };
  } else if (d.has("wait_all")) {
    d.operands(0);
    d.out.run = [](Warp& w, const Instr& i) { land(w, i, 0, true); };
  } else {
    copyForm(d);
  }
}
}  // namespace

void addAsync(DecodeTable& table) { table["cp"] = &cp; }

}  // namespace lacuna::emulator
