// SPDX-License-Identifier: Apache-2.0
// Instructions by which the lanes of a warp speak to each other.
#include "decode.h"

namespace lacuna::emulator {

namespace {
using u32 = std::uint32_t;
using s32 = std::int32_t;
using u64 = std::uint64_t;

enum Shuffle { UP, DOWN, BUTTERFLY, INDEX };

void members(Decoder& d, std::size_t k) {
  d.out.control = Control::MEMBERS;
  d.out.target = d.source(k, Type::B32);
}

template <Shuffle KIND>
void shuffle(Warp& w, const Instr& i) {
  const u32* a = w.at<u32>(i.a);
  const u32* b = w.at<u32>(i.b);
  const u32* c = w.at<u32>(i.c);
  u32 out[LANES];
  u32 inRange = 0;
  for (u32 lane = 0; lane < LANES; lane++) {
    u32 segment = c[lane] >> 8 & 31, clamp = c[lane] & 31, distance = b[lane] & 31;
    u32 most = (lane & segment) | (clamp & ~segment);
    s32 from;
    bool good;
    switch (KIND) {
      case UP:
        from = static_cast<s32>(lane) - static_cast<s32>(distance);
        good = from >= static_cast<s32>(most);
        break;
      case DOWN:
        from = static_cast<s32>(lane + distance);
        good = from <= static_cast<s32>(most);
        break;
      case BUTTERFLY:
        from = static_cast<s32>(lane ^ distance);
        good = from <= static_cast<s32>(most);
        break;
      default:
        from = static_cast<s32>((lane & segment) | (distance & ~segment));
        good = from <= static_cast<s32>(most);
        break;
    }
    out[lane] = a[good ? static_cast<u32>(from) : lane];
    inRange |= static_cast<u32>(good) << lane;
  }
  detail::store(w.at<u32>(i.d), out, w.mask);
  if (i.extra != NO_REF) storePredicate(w, i.extra, inRange);
}

void shfl(Decoder& d) {
  if (!d.has("sync")) d.fail("needs .sync");
  int kind = d.oneOf({"up", "down", "bfly", "idx"});
  if (kind < 0 || d.type() != Type::B32) d.fail("unknown form");
  d.operands(5);
  d.out.cls = Counts::SHUFFLE;
  d.out.d = d.destination(0, Type::B32);
  d.out.extra = d.operand(0).second.empty() ? NO_REF : d.predicateOut(d.operand(0).second[0]);
  d.out.a = d.source(1, Type::B32);
  d.out.b = d.source(2, Type::U32);
  d.out.c = d.source(3, Type::U32);
  members(d, 4);
  static constexpr Run RUNS[] = {&shuffle<UP>, &shuffle<DOWN>, &shuffle<BUTTERFLY>, &shuffle<INDEX>};
  d.out.run = RUNS[kind];
}

/// Each set of lanes that named the same members votes together.
template <class F>
void eachGroup(Warp& w, const Instr& i, F f) {
  const u32* named = w.at<u32>(i.target);
  for (u32 rest = w.mask; rest != 0;) {
    u32 mask = named[std::countr_zero(rest)];
    u32 group = 0;
    for (u32 m = rest; m != 0; m &= m - 1) {
      if (named[std::countr_zero(m)] == mask) group |= m & (0 - m);
    }
    f(group);
    rest &= ~group;
  }
}

void vote(Decoder& d) {
  if (!d.has("sync")) d.fail("needs .sync");
  int kind = d.oneOf({"all", "any", "uni", "ballot"});
  Type t = d.type();
  if (kind < 0 || (kind == 3) != (t == Type::B32)) d.fail("unknown form");
  d.operands(3);
  d.out.cls = Counts::SHUFFLE;
  d.out.flags = static_cast<u32>(kind) | (d.operand(1).negated ? 8 : 0);
  d.out.a = d.predicate(d.operand(1));
  d.out.d = kind == 3 ? d.destination(0, Type::B32) : d.predicateOut(d.operand(0));
  members(d, 2);
  d.out.run = [](Warp& w, const Instr& i) {
    u32 votes = w.predicate(i.a);
    if (i.flags & 8) votes = ~votes;
    u32 result = 0;
    u32 ballots[LANES] = {};
    eachGroup(w, i, [&](u32 group) {
      u32 yes = votes & group;
      bool r = (i.flags & 7) == 0 ? yes == group : (i.flags & 7) == 1 ? yes != 0 : yes == 0 || yes == group;
      if (r) result |= group;
      for (u32 m = group; m != 0; m &= m - 1) ballots[std::countr_zero(m)] = yes;
    });
    if ((i.flags & 7) == 3) detail::store(w.at<u32>(i.d), ballots, w.mask);
    else if (i.d != NO_REF) storePredicate(w, i.d, result);
  };
}

template <class T>
void matchRun(Warp& w, const Instr& i) {
  const T* a = w.at<T>(i.a);
  u32 out[LANES] = {};
  u32 same = 0;
  eachGroup(w, i, [&](u32 group) {
    bool all = true;
    T first = a[std::countr_zero(group)];
    for (u32 m = group; m != 0; m &= m - 1) {
      auto l = static_cast<unsigned>(std::countr_zero(m));
      all &= a[l] == first;
      for (u32 n = group; n != 0; n &= n - 1) out[l] |= static_cast<u32>(a[std::countr_zero(n)] == a[l]) << std::countr_zero(n);
    }
    if (i.flags != 0) {
      for (u32 m = group; m != 0; m &= m - 1) out[std::countr_zero(m)] = all ? group : 0;
      if (all) same |= group;
    }
  });
  detail::store(w.at<u32>(i.d), out, w.mask);
  if (i.extra != NO_REF) storePredicate(w, i.extra, same);
}

void match(Decoder& d) {
  int kind = d.oneOf({"any", "all"});
  if (kind < 0 || !d.has("sync")) d.fail("unknown form");
  Type t = d.type();
  d.operands(3);
  d.out.cls = Counts::SHUFFLE;
  d.out.flags = static_cast<u32>(kind);
  d.out.d = d.destination(0, Type::B32);
  d.out.extra = d.operand(0).second.empty() ? NO_REF : d.predicateOut(d.operand(0).second[0]);
  d.out.a = d.source(1, t);
  members(d, 2);
  d.out.run = ptx::bytesOf(t) == 8 ? &matchRun<u64> : &matchRun<u32>;
}

void activemask(Decoder& d) {
  d.type();
  d.operands(1);
  d.out.cls = Counts::SHUFFLE;
  d.out.d = d.destination(0, Type::B32);
  d.out.run = [](Warp& w, const Instr& i) {
    u32 out[LANES];
    std::fill_n(out, LANES, w.mask);
    detail::store(w.at<u32>(i.d), out, w.mask);
  };
}

enum Reduction { R_ADD, R_MIN, R_MAX, R_AND, R_OR, R_XOR };

template <class T, Reduction OP>
void reduce(Warp& w, const Instr& i) {
  const T* a = w.at<T>(i.a);
  T out[LANES] = {};
  eachGroup(w, i, [&](u32 group) {
    T r = a[std::countr_zero(group)];
    for (u32 m = group & (group - 1); m != 0; m &= m - 1) {
      T v = a[std::countr_zero(m)];
      switch (OP) {
        case R_ADD: r = static_cast<T>(static_cast<u32>(r) + static_cast<u32>(v)); break;
        case R_MIN: r = v < r ? v : r; break;
        case R_MAX: r = v > r ? v : r; break;
        case R_AND: r &= v; break;
        case R_OR: r |= v; break;
        case R_XOR: r ^= v; break;
      }
    }
    for (u32 m = group; m != 0; m &= m - 1) out[std::countr_zero(m)] = r;
  });
  detail::store(w.at<T>(i.d), out, w.mask);
}

template <class T>
Run reduceRun(int op) {
  static constexpr Run RUNS[] = {&reduce<T, R_ADD>, &reduce<T, R_MIN>, &reduce<T, R_MAX>, &reduce<T, R_AND>, &reduce<T, R_OR>, &reduce<T, R_XOR>};
  return RUNS[op];
}

void redux(Decoder& d) {
  if (!d.has("sync")) d.fail("needs .sync");
  int op = d.oneOf({"add", "min", "max", "and", "or", "xor"});
  Type t = d.type();
  if (op < 0 || !isInteger(t) || ptx::bytesOf(t) != 4) d.fail("unknown form");
  d.operands(3);
  d.out.cls = Counts::SHUFFLE;
  d.out.d = d.destination(0, t);
  d.out.a = d.source(1, t);
  members(d, 2);
  d.out.run = t == Type::S32 ? reduceRun<s32>(op) : reduceRun<u32>(op);
}

void elect(Decoder& d) {
  if (!d.has("sync")) d.fail("needs .sync");
  d.operands(2);
  d.out.cls = Counts::SHUFFLE;
  d.out.d = d.operand(0).kind == Operand::SINK ? d.names.registerAt(~0u) : d.destination(0, Type::B32);
  d.out.extra = d.operand(0).second.empty() ? NO_REF : d.predicateOut(d.operand(0).second[0]);
  members(d, 1);
  d.out.run = [](Warp& w, const Instr& i) {
    u32 out[LANES] = {};
    u32 leaders = 0;
    eachGroup(w, i, [&](u32 group) {
      auto leader = static_cast<u32>(std::countr_zero(group));
      leaders |= 1u << leader;
      for (u32 m = group; m != 0; m &= m - 1) out[std::countr_zero(m)] = leader;
    });
    detail::store(w.at<u32>(i.d), out, w.mask);
    if (i.extra != NO_REF) storePredicate(w, i.extra, leaders);
  };
}
}  // namespace

void addWarp(DecodeTable& table) {
  table["shfl"] = &shfl;
  table["vote"] = &vote;
  table["match"] = &match;
  table["activemask"] = &activemask;
  table["redux"] = &redux;
  table["elect"] = &elect;
}

}  // namespace lacuna::emulator
