// SPDX-License-Identifier: Apache-2.0
#include <chrono>

#include "decode.h"

namespace lacuna::emulator {

namespace {
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

template <class T>
void copyLanes(Warp& w, const Instr& i) {
  T t[LANES];
  std::memcpy(t, w.at<T>(i.a), sizeof t);
  detail::store(w.at<T>(i.d), t, w.mask);
}

Run copyRun(unsigned width) { return width == 2 ? &copyLanes<u16> : width == 4 ? &copyLanes<u32> : &copyLanes<u64>; }

/// {a, b, ..} into one wider register.
template <class W, class N>
void join(Warp& w, const Instr& i) {
  constexpr unsigned PARTS = sizeof(W) / sizeof(N);
  W out[LANES] = {};
  for (unsigned k = 0; k < PARTS; k++) {
    const N* part = w.at<N>(w.block->program->extras[i.extra + k]);
    for (unsigned l = 0; l < LANES; l++) out[l] |= static_cast<W>(static_cast<W>(part[l]) << (k * sizeof(N) * 8));
  }
  detail::store(w.at<W>(i.d), out, w.mask);
}

template <class W, class N>
void split(Warp& w, const Instr& i) {
  constexpr unsigned PARTS = sizeof(W) / sizeof(N);
  W in[LANES];
  std::memcpy(in, w.at<W>(i.a), sizeof in);
  for (unsigned k = 0; k < PARTS; k++) {
    N out[LANES];
    for (unsigned l = 0; l < LANES; l++) out[l] = static_cast<N>(in[l] >> (k * sizeof(N) * 8));
    detail::store(w.at<N>(w.block->program->extras[i.extra + k]), out, w.mask);
  }
}

Type ofWidth(unsigned bytes) { return bytes == 2 ? Type::B16 : bytes == 4 ? Type::B32 : Type::B64; }

void vectorMove(Decoder& d, Type t, bool joins) {
  const Operand& list = d.operand(joins ? 1 : 0);
  unsigned bytes = ptx::bytesOf(t);
  std::size_t parts = list.elements.size();
  if (parts != 2 && parts != 4) d.fail("expected two or four elements");
  unsigned part = bytes / static_cast<unsigned>(parts);
  if (part < 2 || bytes > 8) d.fail("elements of fewer than 16 bits, or more than 64 bits, are not supported");
  std::vector<Ref> refs;
  for (const Operand& e : list.elements) refs.push_back(joins ? d.source(e, ofWidth(part)) : d.destination(e, ofWidth(part)));
  for (std::size_t k = 0; k < refs.size(); k++) {
    unsigned at = d.names.extra(refs[k]);
    if (k == 0) d.out.extra = at;
  }
  if (joins) d.out.d = d.destination(0, t);
  else d.out.a = d.source(1, t);
  if (bytes == 4) d.out.run = joins ? &join<u32, u16> : &split<u32, u16>;
  else if (part == 4) d.out.run = joins ? &join<u64, u32> : &split<u64, u32>;
  else d.out.run = joins ? &join<u64, u16> : &split<u64, u16>;
}

enum Clock : u32 { CLOCK, CLOCK_HIGH, CLOCK64, NANOSECONDS, GRID };

void readClock(Warp& w, const Instr& i) {
  u64 value = 0;
  switch (i.flags) {
    case CLOCK: case CLOCK64: value = w.block->worker->counts.instructions; break;
    case CLOCK_HIGH: value = w.block->worker->counts.instructions >> 32; break;
    case NANOSECONDS: value = static_cast<u64>(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count()); break;
    default: value = 1;
  }
  for (u32 m = w.mask; m != 0; m &= m - 1) {
    auto l = std::countr_zero(m);
    if (i.bytes == 4) w.at<u32>(i.d)[l] = static_cast<u32>(value);
    else w.at<u64>(i.d)[l] = value;
  }
}

bool clockMove(Decoder& d, Type t) {
  const Operand& from = d.operand(1);
  if (from.kind != Operand::SYMBOL) return false;
  static const std::unordered_map<std::string, Clock> CLOCKS = {{"%clock", CLOCK}, {"%clock_hi", CLOCK_HIGH}, {"%clock64", CLOCK64}, {"%globaltimer", NANOSECONDS}, {"%gridid", GRID}};
  auto found = CLOCKS.find(from.name);
  if (found == CLOCKS.end()) return false;
  unsigned bytes = ptx::bytesOf(t);
  if (bytes < 4) d.fail("the clocks have 32 or 64 bits");
  d.out.flags = found->second;
  d.out.bytes = static_cast<std::uint8_t>(bytes);
  d.out.d = d.destination(0, t);
  d.out.run = &readClock;
  return true;
}

void mov(Decoder& d) {
  Type t = d.type();
  d.operands(2);
  d.out.cls = Counts::MOVE;
  if (t == Type::PRED) {
    d.out.d = d.predicateOut(d.operand(0));
    d.out.a = d.predicate(d.operand(1));
    d.out.flags = d.operand(1).negated;
    if (d.out.d == NO_REF) d.fail("expected a predicate");
    d.out.run = [](Warp& w, const Instr& i) { storePredicate(w, i.d, i.flags != 0 ? ~w.predicate(i.a) : w.predicate(i.a)); };
    return;
  }
  if (d.operand(1).kind == Operand::VECTOR) return vectorMove(d, t, true);
  if (d.operand(0).kind == Operand::VECTOR) return vectorMove(d, t, false);
  if (ptx::bytesOf(t) > 8 || ptx::bytesOf(t) < 2) d.fail("unexpected type");
  if (clockMove(d, t)) return;
  d.out.d = d.destination(0, t);
  d.out.a = d.source(1, t);
  d.out.run = copyRun(Decoder::width(t));
}

int spaceModifier(Decoder& d) {
  int space = d.oneOf({"global", "shared", "local", "const", "param", "shared::cta", "param::entry"});
  return space == 5 ? 1 : space == 6 ? 4 : space;
}

Address windowOf(int space) { return space == 1 ? SHARED_WINDOW : space == 2 ? LOCAL_WINDOW : space == 4 ? PARAM_WINDOW : 0; }

void cvta(Decoder& d) {
  bool to = d.has("to");
  int space = spaceModifier(d);
  Type t = d.type();
  if (space < 0 || t != Type::U64) d.fail("unknown form");
  d.operands(2);
  d.out.cls = Counts::MOVE;
  d.out.d = d.destination(0, t);
  d.out.a = d.source(1, t);
  Address window = windowOf(space);
  if (window == 0) {
    d.out.run = copyRun(8);
    return;
  }
  d.out.b = d.names.constant(to ? 0 - window : window, 8);
  d.out.run = lanes([](u64 a, u64 b) -> u64 { return a + b; });
}

void isspacep(Decoder& d) {
  int space = spaceModifier(d);
  if (space < 0) d.fail("expected a space");
  d.operands(2);
  d.out.cls = Counts::COMPARE;
  d.out.d = d.predicateOut(d.operand(0));
  d.out.a = d.source(1, Type::U64);
  Address window = windowOf(space);
  d.out.offset = static_cast<std::int64_t>(window);
  d.out.run = [](Warp& w, const Instr& i) {
    auto window = static_cast<Address>(i.offset);
    u32 r = 0;
    for (unsigned l = 0; l < LANES; l++) {
      Address a = w.at<Address>(i.a)[l];
      bool in = window == 0 ? a < SHARED_WINDOW : a >= window && a - window < WINDOW_BYTES;
      r |= static_cast<u32>(in) << l;
    }
    storePredicate(w, i.d, r);
  };
}
}  // namespace

void addMove(DecodeTable& table) {
  table["mov"] = &mov;
  table["cvta"] = &cvta;
  table["isspacep"] = &isspacep;
}

}  // namespace lacuna::emulator
