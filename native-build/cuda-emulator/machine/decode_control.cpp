// SPDX-License-Identifier: Apache-2.0
#include "barrier.h"
#include "decode.h"

namespace lacuna::emulator {

namespace {
void nothing(Warp&, const Instr&) {}

void bra(Decoder& d) {
  d.ignore({"uni"});
  d.out.cls = Counts::CONTROL;
  d.out.control = Control::BRANCH;
}

void brx(Decoder& d) {
  if (!d.has("idx")) d.fail("expected .idx");
  d.ignore({"uni"});
  d.operands(2);
  d.out.cls = Counts::CONTROL;
  d.out.control = Control::TABLE;
  d.out.a = d.source(0, Type::U32);
}

void end(Decoder& d) {
  d.ignore({"uni"});
  d.out.cls = Counts::CONTROL;
  d.out.control = Control::EXIT;
}

void trap(Decoder& d) {
  d.out.flags = d.has("assertion");
  d.out.cls = Counts::CONTROL;
  d.out.control = Control::TRAP;
}

/// Lanes and warps run in program order on coherent memory: fences order nothing that is not ordered already.
void fence(Decoder& d) {
  d.ignore({"cta", "gl", "sys", "gpu", "cluster", "sc", "acq_rel", "acquire", "release"});
  d.out.cls = Counts::FENCE;
  d.out.run = &nothing;
}

void bar(Decoder& d) {
  bool barrier = d.in.opcode == "barrier";
  d.ignore({"cta", "aligned"});
  if (!barrier && d.has("warp")) {
    if (!d.has("sync")) d.fail("expected .sync");
    d.operands(1);
    d.out.cls = Counts::BARRIER;
    d.out.control = Control::MEMBERS;
    d.out.target = d.source(0, Type::B32);
    d.out.run = &nothing;
    return;
  }
  int kind = d.oneOf({"sync", "arrive", "red"});
  if (kind < 0) d.fail("unknown form");
  d.out.cls = Counts::BARRIER;
  d.out.control = Control::BARRIER;
  if (kind == 2) {
    int op = d.oneOf({"popc", "and", "or"});
    if (op < 0) d.fail("expected .popc, .and or .or");
    Type t = d.type();
    if ((op == 0) != (t == Type::U32)) d.fail("unexpected type");
    d.operands(3, 4);
    d.out.flags = BARRIER_POPC + static_cast<std::uint32_t>(op);
    d.out.d = op == 0 ? d.destination(0, Type::U32) : d.predicateOut(d.operand(0));
    if (d.out.d == NO_REF) d.fail("expected a predicate");
    d.out.a = d.source(1, Type::U32);
    if (d.in.operands.size() == 4) d.out.b = d.source(2, Type::U32);
    const Operand& p = d.in.operands.back();
    d.out.c = d.predicate(p);
    d.out.offset = p.negated;
    return;
  }
  d.out.flags = kind == 0 ? BARRIER_SYNC : BARRIER_ARRIVE;
  d.operands(1, 2);
  d.out.a = d.source(0, Type::U32);
  if (d.in.operands.size() == 2) d.out.b = d.source(1, Type::U32);
  if (kind == 1 && d.out.b == NO_REF) d.fail("expected a number of threads");
}

void nanosleep(Decoder& d) {
  d.type();
  d.operands(1);
  d.out.cls = Counts::CONTROL;
  d.out.run = &nothing;
}
}  // namespace

void addControl(DecodeTable& table) {
  table["bra"] = &bra;
  table["brx"] = &brx;
  table["ret"] = &end;
  table["exit"] = &end;
  table["trap"] = &trap;
  table["membar"] = &fence;
  table["fence"] = &fence;
  table["bar"] = &bar;
  table["barrier"] = &bar;
  table["nanosleep"] = &nanosleep;
}

}  // namespace lacuna::emulator
