// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "decode.h"
#include "directed.h"
#include "half.h"

namespace lacuna::emulator {

namespace {
using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s8 = std::int8_t;
using s16 = std::int16_t;
using s32 = std::int32_t;
using s64 = std::int64_t;

enum Rounding : u32 { NEAREST, ZERO, DOWN, UP, AWAY };
enum Flag : u32 { ROUNDING = 7, TO_INTEGER = 8, FTZ = 16, SAT = 32, RELU = 64, SATFINITE = 128 };

/// Any type as it lies in a register of 2, 4 or 8 bytes.
void readLanes(const Warp& w, Ref ref, unsigned width, u64* out) {
  switch (width) {
    case 2: for (unsigned l = 0; l < LANES; l++) out[l] = w.at<u16>(ref)[l]; break;
    case 4: for (unsigned l = 0; l < LANES; l++) out[l] = w.at<u32>(ref)[l]; break;
    default: std::memcpy(out, w.at<u64>(ref), sizeof(u64) * LANES);
  }
}

void writeLanes(Warp& w, Ref ref, unsigned width, const u64* values) {
  for (u32 m = w.mask; m != 0; m &= m - 1) {
    auto l = static_cast<unsigned>(std::countr_zero(m));
    switch (width) {
      case 2: w.at<u16>(ref)[l] = static_cast<u16>(values[l]); break;
      case 4: w.at<u32>(ref)[l] = static_cast<u32>(values[l]); break;
      default: w.at<u64>(ref)[l] = values[l];
    }
  }
}

/// Sign- or zero-extends the low bytes of a register.
u64 extended(u64 v, Type t) {
  switch (t) {
    case Type::S8: return static_cast<u64>(static_cast<s64>(static_cast<s8>(v)));
    case Type::S16: return static_cast<u64>(static_cast<s64>(static_cast<s16>(v)));
    case Type::S32: return static_cast<u64>(static_cast<s64>(static_cast<s32>(v)));
    case Type::U8: case Type::B8: return static_cast<u8>(v);
    case Type::U16: case Type::B16: return static_cast<u16>(v);
    case Type::U32: case Type::B32: return static_cast<u32>(v);
    default: return v;
  }
}

double floatOf(u64 bits, Type t, bool ftz) {
  switch (t) {
    case Type::F16: return static_cast<double>(F16::widen(static_cast<u16>(bits)));
    case Type::BF16: return static_cast<double>(BF16::widen(static_cast<u16>(bits)));
    case Type::F32: {
      auto f = std::bit_cast<float>(static_cast<u32>(bits));
      if (ftz && std::fabs(f) < 1.17549435e-38f) f = std::copysign(0.0f, f);
      return static_cast<double>(f);
    }
    default: return std::bit_cast<double>(bits);
  }
}

double roundToInteger(double v, u32 rounding) {
  switch (rounding) {
    case ZERO: return std::trunc(v);
    case DOWN: return std::floor(v);
    case UP: return std::ceil(v);
    default: return std::nearbyint(v);
  }
}

struct Bounds {
  bool isSigned;
  s64 least;
  u64 most;
};
Bounds boundsOf(Type t) {
  unsigned bits = ptx::bytesOf(t) * 8;
  bool isSigned = ptx::isSigned(t);
  u64 most = isSigned ? (u64{1} << (bits - 1)) - 1 : bits == 64 ? ~u64{0} : (u64{1} << bits) - 1;
  return {isSigned, isSigned ? -static_cast<s64>(most) - 1 : 0, most};
}

u64 integerFromFloat(double v, Type t, u32 rounding) {
  if (v != v) return 0;
  v = roundToInteger(v, rounding);
  Bounds b = boundsOf(t);
  if (v <= static_cast<double>(b.least)) return static_cast<u64>(b.least);
  if (v >= static_cast<double>(b.most)) return b.most;
  return b.isSigned ? static_cast<u64>(static_cast<s64>(v)) : static_cast<u64>(v);
}

u64 saturatedInteger(u64 v, Type from, Type to) {
  Bounds b = boundsOf(to);
  if (ptx::isSigned(from)) {
    auto s = static_cast<s64>(v);
    if (s < b.least) return static_cast<u64>(b.least);
    return s > 0 && static_cast<u64>(s) > b.most ? b.most : v;
  }
  return v > b.most ? b.most : v;
}

/// Rounds to a 16-bit float. Directed rounding starts from a float rounded the same way.
template <class H>
u16 narrow16(double v, u32 rounding) {
  if (rounding == NEAREST) return H::narrow(oddFloat(v));
  float f = narrowDirected(v, static_cast<int>(rounding));
  u16 r = H::narrow(f);
  if (f != f || std::isinf(f)) return r;
  float back = H::widen(r);
  bool magnitudeUp = (rounding == UP) != std::signbit(f) && rounding != ZERO;
  if (magnitudeUp ? std::fabs(back) < std::fabs(f) : std::fabs(back) > std::fabs(f)) r = static_cast<u16>(magnitudeUp ? r + 1 : r - 1);
  return r;
}

u64 floatBits(double v, Type t, u32 flags) {
  u32 rounding = flags & ROUNDING;
  if (flags & TO_INTEGER) {
    double before = v;
    v = roundToInteger(v, rounding);
    if (v == 0) v = std::copysign(0.0, before);
    rounding = NEAREST;
  }
  if (flags & SAT) v = v != v || v < 0 ? 0 : v > 1 ? 1 : v + 0.0;
  if ((flags & RELU) && (v < 0 || (v == 0 && std::signbit(v)))) v = 0;
  switch (t) {
    case Type::F16: {
      u16 r = v != v ? NAN16 : narrow16<F16>(v, rounding);
      if ((flags & SATFINITE) && (r & 0x7fff) == F16::INFINITE) r--;
      return r;
    }
    case Type::BF16: {
      u16 r = v != v ? NAN16 : narrow16<BF16>(v, rounding);
      if ((flags & SATFINITE) && (r & 0x7fff) == BF16::INFINITE) r--;
      return r;
    }
    case Type::F32: {
      if (v != v) return NAN32;
      float f = rounding == NEAREST ? static_cast<float>(v) : narrowDirected(v, static_cast<int>(rounding));
      if ((flags & FTZ) && std::fabs(f) < 1.17549435e-38f) f = std::copysign(0.0f, f);
      return std::bit_cast<u32>(f);
    }
    default: return std::bit_cast<u64>(v);
  }
}

u64 floatFromInteger(u64 v, Type from, Type to, u32 flags) {
  bool isSigned = ptx::isSigned(from);
  u32 rounding = flags & ROUNDING;
  if (to == Type::F64) {
    double r = isSigned ? toDoubleDirected(static_cast<s64>(v), static_cast<int>(rounding)) : toDoubleDirected(v, static_cast<int>(rounding));
    return std::bit_cast<u64>(r);
  }
  if (to == Type::F32) {
    float r = isSigned ? toFloatDirected(static_cast<s64>(v), static_cast<int>(rounding)) : toFloatDirected(v, static_cast<int>(rounding));
    return floatBits(static_cast<double>(r), to, flags & ~static_cast<u32>(ROUNDING));
  }
  // 16 bits: doubles hold 53 bits; what they drop of larger integers is far below a half's last bit, but must stay seen.
  double r = isSigned ? toDoubleDirected(static_cast<s64>(v), ZERO) : toDoubleDirected(v, ZERO);
  if (isSigned ? static_cast<s64>(r) != static_cast<s64>(v) : static_cast<u64>(r) != v) r = std::bit_cast<double>(std::bit_cast<u64>(r) | 1);
  return floatBits(r, to, flags);
}

/// Types and flags packed into an instruction.
struct Types {
  Type to, from;
};
Types typesOf(const Instr& i) { return {static_cast<Type>(i.target & 0xff), static_cast<Type>(i.target >> 8)}; }

void convertAny(Warp& w, const Instr& i) {
  auto [to, from] = typesOf(i);
  u64 values[LANES];
  readLanes(w, i.a, i.bytes, values);
  bool fromFloat = ptx::isFloat(from), toFloat = ptx::isFloat(to);
  for (u32 m = w.mask; m != 0; m &= m - 1) {
    u64& v = values[std::countr_zero(m)];
    if (fromFloat) {
      double f = floatOf(v, from, (i.flags & FTZ) != 0);
      v = toFloat ? floatBits(f, to, i.flags) : integerFromFloat(f, to, i.flags & ROUNDING);
    } else {
      v = extended(v, from);
      if (toFloat) v = floatFromInteger(v, from, to, i.flags);
      else if (i.flags & SAT) v = saturatedInteger(v, from, to);
      v = toFloat ? v : extended(v, to);
    }
  }
  writeLanes(w, i.d, i.count, values);
}

/// Plain extension or truncation, from the low bits of a register of type R to one of type D.
template <class D, class R, class S, class T>
Run resizeRun() {
  return lanes([](R a) -> D { return static_cast<D>(static_cast<T>(static_cast<S>(a))); });
}
template <class D, class R, class S>
Run resizeTo(Type to) {
  switch (to) {
    case Type::S8: return resizeRun<D, R, S, s8>();
    case Type::U8: return resizeRun<D, R, S, u8>();
    case Type::S16: return resizeRun<D, R, S, s16>();
    case Type::U16: return resizeRun<D, R, S, u16>();
    case Type::S32: return resizeRun<D, R, S, s32>();
    case Type::U32: return resizeRun<D, R, S, u32>();
    case Type::S64: return resizeRun<D, R, S, s64>();
    default: return resizeRun<D, R, S, u64>();
  }
}
template <class D, class R>
Run resizeFrom(Type to, Type from) {
  switch (from) {
    case Type::S8: return resizeTo<D, R, s8>(to);
    case Type::U8: return resizeTo<D, R, u8>(to);
    case Type::S16: return resizeTo<D, R, s16>(to);
    case Type::U16: return resizeTo<D, R, u16>(to);
    case Type::S32: return resizeTo<D, R, s32>(to);
    case Type::U32: return resizeTo<D, R, u32>(to);
    case Type::S64: return resizeTo<D, R, s64>(to);
    default: return resizeTo<D, R, u64>(to);
  }
}
template <class D>
Run resizeRegister(Type to, Type from, unsigned width) {
  return width == 2 ? resizeFrom<D, u16>(to, from) : width == 4 ? resizeFrom<D, u32>(to, from) : resizeFrom<D, u64>(to, from);
}

/// Conversions that inner loops are made of.
Run fastRun(Type to, Type from, unsigned toWidth, unsigned fromWidth, u32 flags) {
  if (toWidth != std::max(2u, ptx::bytesOf(to)) || fromWidth != std::max(2u, ptx::bytesOf(from))) return nullptr;
  if (to == Type::F32 && from == Type::F16 && (flags & ~static_cast<u32>(FTZ)) == 0) return lanes([](u16 a) -> float { return canonical(F16::widen(a)); });
  if (to == Type::F32 && from == Type::BF16 && flags == 0) return lanes([](u16 a) -> float { return canonical(BF16::widen(a)); });
  if (to == Type::F16 && from == Type::F32 && flags == NEAREST) return lanes([](float a) -> u16 { return F16::narrow(a); });
  if (to == Type::BF16 && from == Type::F32 && flags == NEAREST) return lanes([](float a) -> u16 { return BF16::narrow(a); });
  if (to == Type::F32 && flags == NEAREST) {
    switch (from) {
      case Type::S32: return lanes([](s32 a) -> float { return static_cast<float>(a); });
      case Type::U32: return lanes([](u32 a) -> float { return static_cast<float>(a); });
      case Type::S16: return lanes([](s16 a) -> float { return static_cast<float>(a); });
      case Type::U16: return lanes([](u16 a) -> float { return static_cast<float>(a); });
      case Type::S8: return lanes([](u16 a) -> float { return static_cast<float>(static_cast<s8>(a)); });
      case Type::U8: return lanes([](u16 a) -> float { return static_cast<float>(static_cast<u8>(a)); });
      default: return nullptr;
    }
  }
  if (to == Type::S32 && from == Type::F32 && (flags & TO_INTEGER) && !(flags & FTZ)) {
    if ((flags & ROUNDING) == ZERO) {
      return lanes([](float r) -> s32 { return r != r ? 0 : r >= 2147483648.0f ? INT32_MAX : r <= -2147483648.0f ? INT32_MIN : static_cast<s32>(r); });
    }
    if ((flags & ROUNDING) == NEAREST) {
      return lanes([](float a) -> s32 {
        float r = std::nearbyint(a);
        return r != r ? 0 : r >= 2147483648.0f ? INT32_MAX : r <= -2147483648.0f ? INT32_MIN : static_cast<s32>(r);
      });
    }
  }
  return nullptr;
}

template <class H>
void convertPair(Warp& w, const Instr& i) {
  const float* a = w.at<float>(i.a);
  const float* b = w.at<float>(i.b);
  u32 out[LANES];
  if ((i.flags & ~static_cast<u32>(FTZ)) == 0) {
    for (unsigned l = 0; l < LANES; l++) out[l] = pack16(H::narrow(b[l]), H::narrow(a[l]));
  } else {
    Type t = std::is_same_v<H, F16> ? Type::F16 : Type::BF16;
    for (unsigned l = 0; l < LANES; l++) {
      out[l] = pack16(static_cast<u16>(floatBits(static_cast<double>(b[l]), t, i.flags)), static_cast<u16>(floatBits(static_cast<double>(a[l]), t, i.flags)));
    }
  }
  detail::store(w.at<u32>(i.d), out, w.mask);
}

void pack(Decoder& d) {
  if (!d.has("sat")) d.fail("expected .sat");
  Type to = d.type(), from = d.type();
  Type rest = d.typeOrNone();
  if (from != Type::S32 || (rest != Type::NONE && rest != Type::B32)) d.fail("unknown form");
  bool wide = to == Type::S16 || to == Type::U16;
  if (!wide && to != Type::S8 && to != Type::U8) d.fail("packs 8 or 16 bits");
  d.operands(wide ? 3 : 4);
  d.out.d = d.destination(0, Type::B32);
  d.out.a = d.source(1, Type::S32);
  d.out.b = d.source(2, Type::S32);
  d.out.c = wide ? d.names.constant(0, 4) : d.source(3, Type::B32);
  d.out.target = static_cast<u32>(to);
  d.out.run = [](Warp& w, const Instr& i) {
    auto to = static_cast<Type>(i.target);
    unsigned bits = ptx::bytesOf(to) * 8;
    u32 out[LANES];
    u64 mask = (u64{1} << bits) - 1;
    for (unsigned l = 0; l < LANES; l++) {
      auto one = [&](s32 v) { return static_cast<u32>(saturatedInteger(static_cast<u64>(static_cast<s64>(v)), Type::S32, to) & mask); };
      u32 pair = one(w.at<s32>(i.a)[l]) << bits | one(w.at<s32>(i.b)[l]);
      out[l] = bits == 16 ? pair : w.at<u32>(i.c)[l] << 16 | pair;
    }
    detail::store(w.at<u32>(i.d), out, w.mask);
  };
}

void cvt(Decoder& d) {
  d.out.cls = Counts::CONVERT;
  if (d.has("pack")) return pack(d);
  u32 flags = 0;
  int mode = d.oneOf({"rn", "rz", "rm", "rp", "rna"});
  int integral = d.oneOf({"rni", "rzi", "rmi", "rpi"});
  if (mode > 0) flags |= static_cast<u32>(mode);
  if (integral >= 0) flags |= TO_INTEGER | static_cast<u32>(integral);
  if (d.has("ftz")) flags |= FTZ;
  if (d.has("satfinite")) flags |= SATFINITE;
  if (d.has("sat")) flags |= SAT;
  if (d.has("relu")) flags |= RELU;
  Type to = d.type(), from = d.type();
  d.out.flags = flags;
  if (to == Type::F16X2 || to == Type::BF16X2) {
    if (from != Type::F32) d.fail("converts pairs of .f32 only");
    d.operands(3);
    d.out.d = d.destination(0, to);
    d.out.a = d.source(1, Type::F32);
    d.out.b = d.source(2, Type::F32);
    d.out.run = to == Type::F16X2 ? &convertPair<F16> : &convertPair<BF16>;
    return;
  }
  d.operands(2);
  if (to == Type::TF32) {
    if (from != Type::F32 || mode < 0) d.fail("unknown form");
    d.out.d = d.destination(0, Type::B32);
    d.out.a = d.source(1, Type::F32);
    d.out.flags = mode == 4 ? 1 : mode == 0 ? 0 : 2;
    d.out.run = [](Warp& w, const Instr& i) {
      u32 out[LANES];
      for (unsigned l = 0; l < LANES; l++) {
        u32 v = w.at<u32>(i.a)[l];
        bool finite = (v & 0x7f800000) != 0x7f800000;
        if (finite && i.flags == 1) v += 0x1000;
        if (finite && i.flags == 0) v += 0xfff + (v >> 13 & 1);
        out[l] = finite ? v & ~0x1fffu : (v & 0x7fffff ? NAN32 : v);
      }
      detail::store(w.at<u32>(i.d), out, w.mask);
    };
    return;
  }
  if (mode == 4) d.fail(".rna is for .tf32");
  auto known = [](Type t) { return t == Type::F16 || t == Type::BF16 || t == Type::F32 || t == Type::F64 || isInteger(t) || t == Type::S8 || t == Type::U8 || t == Type::B8; };
  if (!known(to) || !known(from)) d.fail("unknown pair of types");
  unsigned toWidth = 0, fromWidth = 0;
  const Operand& source = d.operand(1);
  if (source.kind == Operand::REGISTER) {
    d.out.a = d.anyRegister(source, fromWidth);
  } else {
    d.out.a = d.source(1, from);
    fromWidth = Decoder::width(from);
  }
  d.out.d = d.anyRegister(d.operand(0), toWidth);
  if (fromWidth < ptx::bytesOf(from) || toWidth < ptx::bytesOf(to)) d.fail("a register is too narrow");
  d.out.bytes = static_cast<u8>(fromWidth);
  d.out.count = static_cast<u8>(toWidth);
  d.out.target = static_cast<u32>(to) | static_cast<u32>(from) << 8;
  bool fromFloat = ptx::isFloat(from), toFloat = ptx::isFloat(to);
  if (fromFloat && !toFloat && integral < 0) d.fail("a conversion to integer needs .rni, .rzi, .rmi or .rpi");
  if (!fromFloat && toFloat && mode < 0) d.fail("a conversion from integer needs a rounding mode");
  if (!fromFloat && !toFloat && !(flags & SAT)) {
    d.out.run = toWidth == 2 ? resizeRegister<u16>(to, from, fromWidth) : toWidth == 4 ? resizeRegister<u32>(to, from, fromWidth) : resizeRegister<u64>(to, from, fromWidth);
    return;
  }
  d.out.run = fastRun(to, from, toWidth, fromWidth, flags);
  if (d.out.run == nullptr) d.out.run = &convertAny;
}
}  // namespace

void addConvert(DecodeTable& table) { table["cvt"] = &cvt; }

}  // namespace lacuna::emulator
