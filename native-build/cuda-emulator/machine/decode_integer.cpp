// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <limits>
#include <type_traits>

#include "arithmetic.h"

namespace lacuna::emulator {

namespace {
using s16 = std::int16_t;
using u16 = std::uint16_t;
using s32 = std::int32_t;
using u32 = std::uint32_t;
using s64 = std::int64_t;
using u64 = std::uint64_t;

template <class T>
using Unsigned = std::make_unsigned_t<T>;

/// Twice as wide.
template <class T>
struct Wide;
template <> struct Wide<s16> { using type = s32; };
template <> struct Wide<u16> { using type = u32; };
template <> struct Wide<s32> { using type = s64; };
template <> struct Wide<u32> { using type = u64; };
template <> struct Wide<s64> { using type = __int128; };
template <> struct Wide<u64> { using type = unsigned __int128; };

template <class T>
constexpr T addWrap(T a, T b) {
  return static_cast<T>(static_cast<Unsigned<T>>(static_cast<Unsigned<T>>(a) + static_cast<Unsigned<T>>(b)));
}
template <class T>
constexpr T mulWrap(T a, T b) {
  return static_cast<T>(static_cast<u64>(a) * static_cast<u64>(b));
}

template <class T>
constexpr T quotient(T a, T b) {
  if (b == 0) return static_cast<T>(~T{0});  // unspecified by the ISA
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return static_cast<T>(0 - static_cast<Unsigned<T>>(a));
  }
  return static_cast<T>(a / b);
}
template <class T>
constexpr T remainder(T a, T b) {
  if (b == 0) return a;
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return 0;
  }
  return static_cast<T>(a % b);
}

void three(Decoder& d, Type t) {
  d.operands(3);
  d.out.d = d.destination(0, t);
  d.out.a = d.source(1, t);
  d.out.b = d.source(2, t);
}

// ---- carries -----------------------------------------------------------------------------------------------------

enum CarryFlags : u32 { CARRY_OUT = 1, CARRY_IN = 2, SUBTRACT = 4 };

template <class T>
void addWithCarry(Warp& w, const Instr& i) {
  const T* a = w.at<T>(i.a);
  const T* b = w.at<T>(i.b);
  T out[LANES];
  u32 carries = 0;
  bool subtract = (i.flags & SUBTRACT) != 0;
  for (unsigned l = 0; l < LANES; l++) {
    T y = subtract ? static_cast<T>(~b[l]) : b[l];
    // The flag holds a borrow for subtractions, as the manual words it.
    T in = 0;
    if (i.flags & CARRY_IN) in = (w.carry >> l & 1) != (subtract ? 1u : 0u) ? 1 : 0;
    else if (subtract) in = 1;
    T sum = static_cast<T>(a[l] + y);
    bool carry = sum < a[l];
    T total = static_cast<T>(sum + in);
    carry |= total < sum;
    out[l] = total;
    carries |= static_cast<u32>(carry != subtract) << l;
  }
  detail::store(w.at<T>(i.d), out, w.mask);
  if (i.flags & CARRY_OUT) w.carry = (w.carry & ~w.mask) | (carries & w.mask);
}

template <class T, bool HIGH>
void multiplyAddWithCarry(Warp& w, const Instr& i) {
  using W = typename Wide<T>::type;
  const T* a = w.at<T>(i.a);
  const T* b = w.at<T>(i.b);
  const auto* c = w.at<Unsigned<T>>(i.c);
  Unsigned<T> out[LANES];
  u32 carries = 0;
  for (unsigned l = 0; l < LANES; l++) {
    W product = static_cast<W>(a[l]) * static_cast<W>(b[l]);
    auto part = static_cast<Unsigned<T>>(HIGH ? product >> (sizeof(T) * 8) : product);
    Unsigned<T> in = (i.flags & CARRY_IN) != 0 ? w.carry >> l & 1 : 0;
    Unsigned<T> sum = part + c[l];
    bool carry = sum < part;
    Unsigned<T> total = sum + in;
    carry |= total < sum;
    out[l] = total;
    carries |= static_cast<u32>(carry) << l;
  }
  detail::store(w.at<Unsigned<T>>(i.d), out, w.mask);
  if (i.flags & CARRY_OUT) w.carry = (w.carry & ~w.mask) | (carries & w.mask);
}

bool carryForm(Decoder& d, Type t) {
  const std::string& op = d.in.opcode;
  u32 flags = 0;
  if (d.has("cc")) flags = CARRY_OUT;
  if (op == "addc" || op == "subc" || op == "madc") flags |= CARRY_IN;
  if (flags == 0) return false;
  d.out.flags = flags;
  bool wide = ptx::bytesOf(t) == 8;
  if (op == "mad" || op == "madc") {
    bool high = d.oneOf({"lo", "hi"}) == 1;
    d.operands(4);
    d.out.d = d.destination(0, t);
    d.out.a = d.source(1, t);
    d.out.b = d.source(2, t);
    d.out.c = d.source(3, t);
    d.out.run = withInteger(t, [&](auto z) -> Run {
      using T = decltype(z);
      return high ? &multiplyAddWithCarry<T, true> : &multiplyAddWithCarry<T, false>;
    });
    return true;
  }
  if (op == "sub" || op == "subc") d.out.flags |= SUBTRACT;
  three(d, t);
  d.out.run = wide ? &addWithCarry<u64> : &addWithCarry<u32>;
  return true;
}

// ---- multiplications ----------------------------------------------------------------------------------------------

template <class T>
Run highRun() {
  return lanes([](T a, T b) -> T { return static_cast<T>((static_cast<typename Wide<T>::type>(a) * static_cast<typename Wide<T>::type>(b)) >> (sizeof(T) * 8)); });
}

template <class T>
Run wideRun(bool add) {
  using W = typename Wide<T>::type;
  if (add) return lanes([](T a, T b, W c) -> W { return static_cast<W>(static_cast<u64>(a) * static_cast<u64>(b) + static_cast<u64>(c)); });
  return lanes([](T a, T b) -> W { return static_cast<W>(static_cast<W>(a) * static_cast<W>(b)); });
}

void multiply(Decoder& d, Type t, bool add) {
  int part = d.oneOf({"lo", "hi", "wide"});
  if (part < 0) d.fail("expected .lo, .hi or .wide");
  bool saturate = add && d.has("sat");
  if (saturate && (part != 1 || t != Type::S32)) d.fail(".sat goes with .hi.s32 only");
  d.operands(add ? 4 : 3);
  Type result = t;
  if (part == 2) {
    switch (t) {
      case Type::S16: result = Type::S32; break;
      case Type::U16: result = Type::U32; break;
      case Type::S32: result = Type::S64; break;
      case Type::U32: result = Type::U64; break;
      default: d.fail(".wide needs 16 or 32 bits");
    }
  }
  d.out.d = d.destination(0, result);
  d.out.a = d.source(1, t);
  d.out.b = d.source(2, t);
  if (add) d.out.c = d.source(3, result);
  if (part == 2) {
    switch (t) {
      case Type::S16: d.out.run = wideRun<s16>(add); break;
      case Type::U16: d.out.run = wideRun<u16>(add); break;
      case Type::S32: d.out.run = wideRun<s32>(add); break;
      default: d.out.run = wideRun<u32>(add); break;
    }
    return;
  }
  d.out.run = withInteger(t, [&](auto z) -> Run {
    using T = decltype(z);
    if (part == 0) {
      if (add) return lanes([](T a, T b, T c) -> T { return addWrap<T>(mulWrap<T>(a, b), c); });
      return lanes([](T a, T b) -> T { return mulWrap<T>(a, b); });
    }
    if (!add) return highRun<T>();
    if (saturate) {
      return lanes([](s32 a, s32 b, s32 c) -> s32 {
        s64 sum = (static_cast<s64>(a) * b >> 32) + c;
        return sum > std::numeric_limits<s32>::max() ? std::numeric_limits<s32>::max() : sum < std::numeric_limits<s32>::min() ? std::numeric_limits<s32>::min() : static_cast<s32>(sum);
      });
    }
    return lanes([](T a, T b, T c) -> T {
      using W = typename Wide<T>::type;
      return addWrap<T>(static_cast<T>((static_cast<W>(a) * static_cast<W>(b)) >> (sizeof(T) * 8)), c);
    });
  });
}

template <class T>
T low24(T v) {
  if constexpr (std::is_signed_v<T>) return static_cast<T>(static_cast<T>(static_cast<u32>(v) << 8) >> 8);
  return v & 0xffffff;
}

template <class T>
Run run24(bool high, bool add) {
  if (add) {
    if (high) return lanes([](T a, T b, T c) -> T { return addWrap<T>(static_cast<T>(static_cast<typename Wide<T>::type>(low24(a)) * low24(b) >> 16), c); });
    return lanes([](T a, T b, T c) -> T { return addWrap<T>(mulWrap<T>(low24(a), low24(b)), c); });
  }
  if (high) return lanes([](T a, T b) -> T { return static_cast<T>(static_cast<typename Wide<T>::type>(low24(a)) * low24(b) >> 16); });
  return lanes([](T a, T b) -> T { return mulWrap<T>(low24(a), low24(b)); });
}

void multiply24(Decoder& d) {
  Type t = d.type();
  bool add = d.in.opcode == "mad24";
  int part = d.oneOf({"lo", "hi"});
  if (part < 0) d.fail("expected .lo or .hi");
  if (t != Type::S32 && t != Type::U32) d.fail("needs .s32 or .u32");
  d.operands(add ? 4 : 3);
  d.out.cls = Counts::INTEGER;
  d.out.d = d.destination(0, t);
  d.out.a = d.source(1, t);
  d.out.b = d.source(2, t);
  if (add) d.out.c = d.source(3, t);
  d.out.run = t == Type::S32 ? run24<s32>(part == 1, add) : run24<u32>(part == 1, add);
}

// ---- bits -----------------------------------------------------------------------------------------------------------

void logic(Decoder& d) {
  Type t = d.type();
  d.out.cls = Counts::INTEGER;
  const std::string& op = d.in.opcode;
  bool single = op == "not" || op == "cnot";
  d.operands(single ? 2 : 3);
  if (t == Type::PRED) {
    if (op == "cnot") d.fail("no predicate form");
    d.out.d = d.predicateOut(d.operand(0));
    if (d.out.d == NO_REF) d.fail("expected a predicate");
    d.out.a = d.predicate(d.operand(1));
    d.out.b = single ? d.out.a : d.predicate(d.operand(2));
    d.out.flags = op == "and" ? 0 : op == "or" ? 1 : op == "xor" ? 2 : 3;
    bool na = d.operand(1).negated, nb = !single && d.operand(2).negated;
    d.out.offset = (na ? 1 : 0) | (nb ? 2 : 0);
    d.out.run = [](Warp& w, const Instr& i) {
      u32 a = w.predicate(i.a), b = w.predicate(i.b);
      if (i.offset & 1) a = ~a;
      if (i.offset & 2) b = ~b;
      storePredicate(w, i.d, i.flags == 0 ? a & b : i.flags == 1 ? a | b : i.flags == 2 ? a ^ b : ~a);
    };
    return;
  }
  if (ptx::bytesOf(t) < 2 || ptx::bytesOf(t) > 8) d.fail("unexpected type");
  d.out.d = d.destination(0, t);
  d.out.a = d.source(1, t);
  if (!single) d.out.b = d.source(2, t);
  auto pick = [&](auto z) -> Run {
    using T = decltype(z);
    if (op == "and") return lanes([](T a, T b) -> T { return static_cast<T>(a & b); });
    if (op == "or") return lanes([](T a, T b) -> T { return static_cast<T>(a | b); });
    if (op == "xor") return lanes([](T a, T b) -> T { return static_cast<T>(a ^ b); });
    if (op == "not") return lanes([](T a) -> T { return static_cast<T>(~a); });
    return lanes([](T a) -> T { return a == 0; });
  };
  d.out.run = ptx::bytesOf(t) == 2 ? pick(u16{}) : ptx::bytesOf(t) == 4 ? pick(u32{}) : pick(u64{});
}

void shift(Decoder& d) {
  Type t = d.type();
  if (!isInteger(t)) d.fail("unexpected type");
  d.out.cls = Counts::INTEGER;
  d.operands(3);
  d.out.d = d.destination(0, t);
  d.out.a = d.source(1, t);
  d.out.b = d.source(2, Type::U32);
  bool left = d.in.opcode == "shl";
  d.out.run = withInteger(t, [&](auto z) -> Run {
    using T = decltype(z);
    if (left) return lanes([](T a, u32 b) -> T { return b >= sizeof(T) * 8 ? T{0} : static_cast<T>(static_cast<Unsigned<T>>(a) << b); });
    return lanes([](T a, u32 b) -> T { return static_cast<T>(b >= sizeof(T) * 8 ? (std::is_signed_v<T> && a < 0 ? -1 : 0) : a >> b); });
  });
}

void funnelShift(Decoder& d) {
  int direction = d.oneOf({"l", "r"});
  int mode = d.oneOf({"clamp", "wrap"});
  if (direction < 0 || mode < 0 || d.type() != Type::B32) d.fail("expected .l or .r, .clamp or .wrap, .b32");
  d.out.cls = Counts::INTEGER;
  d.operands(4);
  d.out.d = d.destination(0, Type::B32);
  d.out.a = d.source(1, Type::B32);
  d.out.b = d.source(2, Type::B32);
  d.out.c = d.source(3, Type::U32);
  if (direction == 0) {
    d.out.run = mode == 0 ? lanes([](u32 a, u32 b, u32 c) -> u32 { u32 n = c < 32 ? c : 32; return static_cast<u32>((u64{b} << 32 | a) << n >> 32); })
                          : lanes([](u32 a, u32 b, u32 c) -> u32 { return static_cast<u32>((u64{b} << 32 | a) << (c & 31) >> 32); });
  } else {
    d.out.run = mode == 0 ? lanes([](u32 a, u32 b, u32 c) -> u32 { u32 n = c < 32 ? c : 32; return static_cast<u32>((u64{b} << 32 | a) >> n); })
                          : lanes([](u32 a, u32 b, u32 c) -> u32 { return static_cast<u32>((u64{b} << 32 | a) >> (c & 31)); });
  }
}

void lop3(Decoder& d) {
  if (d.oneOf({"or", "and"}) >= 0) d.fail("the form with a predicate is not supported");
  if (d.type() != Type::B32) d.fail("needs .b32");
  d.operands(5);
  d.out.cls = Counts::INTEGER;
  d.out.d = d.destination(0, Type::B32);
  d.out.a = d.source(1, Type::B32);
  d.out.b = d.source(2, Type::B32);
  d.out.c = d.source(3, Type::B32);
  std::int64_t table = d.immediate(4);
  if (table < 0 || table > 255) d.fail("the table has eight bits");
  d.out.flags = static_cast<u32>(table);
  d.out.run = [](Warp& w, const Instr& i) {
    const u32* a = w.at<u32>(i.a);
    const u32* b = w.at<u32>(i.b);
    const u32* c = w.at<u32>(i.c);
    u32 term[8];
    for (unsigned k = 0; k < 8; k++) term[k] = i.flags >> k & 1 ? ~0u : 0;
    u32 out[LANES];
    for (unsigned l = 0; l < LANES; l++) {
      u32 x = a[l], y = b[l], z = c[l];
      u32 high = (((term[6] & ~z) | (term[7] & z)) & y) | (((term[4] & ~z) | (term[5] & z)) & ~y);
      u32 low = (((term[2] & ~z) | (term[3] & z)) & y) | (((term[0] & ~z) | (term[1] & z)) & ~y);
      out[l] = (high & x) | (low & ~x);
    }
    detail::store(w.at<u32>(i.d), out, w.mask);
  };
}

void countBits(Decoder& d) {
  const std::string& op = d.in.opcode;
  bool amount = d.has("shiftamt");
  Type t = d.type();
  bool wide = ptx::bytesOf(t) == 8;
  d.operands(2);
  d.out.cls = Counts::INTEGER;
  d.out.a = d.source(1, t);
  d.out.d = d.destination(0, op == "brev" ? t : Type::U32);
  if (op == "popc") {
    d.out.run = wide ? lanes([](u64 a) -> u32 { return static_cast<u32>(std::popcount(a)); }) : lanes([](u32 a) -> u32 { return static_cast<u32>(std::popcount(a)); });
  } else if (op == "clz") {
    d.out.run = wide ? lanes([](u64 a) -> u32 { return static_cast<u32>(std::countl_zero(a)); }) : lanes([](u32 a) -> u32 { return static_cast<u32>(std::countl_zero(a)); });
  } else if (op == "brev") {
    d.out.run = wide ? lanes([](u64 a) -> u64 {
      u64 r = 0;
      for (unsigned k = 0; k < 64; k++) r |= (a >> k & 1) << (63 - k);
      return r;
    })
                     : lanes([](u32 a) -> u32 {
                         u32 r = 0;
                         for (unsigned k = 0; k < 32; k++) r |= (a >> k & 1) << (31 - k);
                         return r;
                       });
  } else {  // bfind
    d.out.run = withInteger(t, [&](auto z) -> Run {
      using T = decltype(z);
      if (amount) {
        return lanes([](T v) -> u32 {
          auto a = static_cast<Unsigned<T>>(std::is_signed_v<T> && v < 0 ? ~v : v);
          return a == 0 ? ~0u : static_cast<u32>(std::countl_zero(a));
        });
      }
      return lanes([](T v) -> u32 {
        auto a = static_cast<Unsigned<T>>(std::is_signed_v<T> && v < 0 ? ~v : v);
        return a == 0 ? ~0u : static_cast<u32>(sizeof(T) * 8 - 1) - static_cast<u32>(std::countl_zero(a));
      });
    });
  }
}

void extractField(Decoder& d) {
  Type t = d.type();
  d.operands(4);
  d.out.cls = Counts::INTEGER;
  d.out.d = d.destination(0, t);
  d.out.a = d.source(1, t);
  d.out.b = d.source(2, Type::U32);
  d.out.c = d.source(3, Type::U32);
  d.out.run = withInteger(t, [](auto z) -> Run {
    using T = decltype(z);
    return lanes([](T a, u32 b, u32 c) -> T {
      constexpr u32 size = sizeof(T) * 8;
      u32 position = b & 0xff, length = c & 0xff;
      if (length == 0) return 0;
      bool sign = false;
      if constexpr (std::is_signed_v<T>) {
        u32 last = position + length - 1;
        sign = static_cast<Unsigned<T>>(a) >> (last < size - 1 ? last : size - 1) & 1;
      }
      auto field = static_cast<Unsigned<T>>(position >= size ? 0 : static_cast<Unsigned<T>>(a) >> position);
      if (position < size && length > size - position) length = size - position;
      if (position >= size) length = 0;
      if (length >= size) return static_cast<T>(field);
      auto mask = static_cast<Unsigned<T>>((Unsigned<T>{1} << length) - 1);
      return static_cast<T>(sign ? field | static_cast<Unsigned<T>>(~mask) : field & mask);
    });
  });
}

template <class T>
void insertFieldRun(Warp& w, const Instr& i) {
  const T* a = w.at<T>(i.a);
  const T* b = w.at<T>(i.b);
  const u32* c = w.at<u32>(i.c);
  const u32* e = w.at<u32>(i.target);
  T out[LANES];
  constexpr u32 size = sizeof(T) * 8;
  for (unsigned l = 0; l < LANES; l++) {
    u32 position = c[l] & 0xff, length = e[l] & 0xff;
    if (length == 0 || position >= size) {
      out[l] = b[l];
      continue;
    }
    if (length > size - position) length = size - position;
    T mask = length >= size ? static_cast<T>(~T{0}) : static_cast<T>((T{1} << length) - 1);
    out[l] = static_cast<T>((b[l] & ~static_cast<T>(mask << position)) | static_cast<T>((a[l] & mask) << position));
  }
  detail::store(w.at<T>(i.d), out, w.mask);
}

void insertField(Decoder& d) {
  Type t = d.type();
  d.operands(5);
  d.out.cls = Counts::INTEGER;
  d.out.d = d.destination(0, t);
  d.out.a = d.source(1, t);
  d.out.b = d.source(2, t);
  d.out.c = d.source(3, Type::U32);
  d.out.target = d.source(4, Type::U32);
  d.out.run = ptx::bytesOf(t) == 8 ? &insertFieldRun<u64> : &insertFieldRun<u32>;
}

u32 permute(u32 a, u32 b, const u32* selectors) {
  u64 bytes = u64{b} << 32 | a;
  u32 r = 0;
  for (unsigned k = 0; k < 4; k++) {
    u32 s = selectors[k];
    auto byte = static_cast<u32>(bytes >> (8 * (s & 7)) & 0xff);
    if (s & 8) byte = byte & 0x80 ? 0xff : 0;
    r |= byte << (8 * k);
  }
  return r;
}

void prmt(Decoder& d) {
  if (d.type() != Type::B32) d.fail("needs .b32");
  int mode = d.oneOf({"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"});
  d.operands(4);
  d.out.cls = Counts::INTEGER;
  d.out.d = d.destination(0, Type::B32);
  d.out.a = d.source(1, Type::B32);
  d.out.b = d.source(2, Type::B32);
  d.out.c = d.source(3, Type::B32);
  switch (mode) {
    case 0: d.out.run = lanes([](u32 a, u32 b, u32 c) -> u32 { u32 n = c & 3, s[4] = {n, n + 1, n + 2, n + 3}; return permute(a, b, s); }); break;
    case 1: d.out.run = lanes([](u32 a, u32 b, u32 c) -> u32 { u32 n = c & 3, s[4] = {n, (n + 7) & 7, (n + 6) & 7, (n + 5) & 7}; return permute(a, b, s); }); break;
    case 2: d.out.run = lanes([](u32 a, u32 b, u32 c) -> u32 { u32 n = c & 3, s[4] = {n, n, n, n}; return permute(a, b, s); }); break;
    case 3: d.out.run = lanes([](u32 a, u32 b, u32 c) -> u32 { u32 n = c & 3, s[4] = {n, n > 1 ? n : 1, n > 2 ? n : 2, 3}; return permute(a, b, s); }); break;
    case 4: d.out.run = lanes([](u32 a, u32 b, u32 c) -> u32 { u32 n = c & 3, s[4] = {0, n < 1 ? n : 1, n < 2 ? n : 2, n}; return permute(a, b, s); }); break;
    case 5: d.out.run = lanes([](u32 a, u32 b, u32 c) -> u32 { u32 n = (c & 1) * 2, s[4] = {n, n + 1, n, n + 1}; return permute(a, b, s); }); break;
    default: d.out.run = lanes([](u32 a, u32 b, u32 c) -> u32 { u32 s[4] = {c & 15, c >> 4 & 15, c >> 8 & 15, c >> 12 & 15}; return permute(a, b, s); }); break;
  }
}

// ---- dot products ---------------------------------------------------------------------------------------------------

template <bool SA>
s32 byteAt(u32 v, unsigned k) {
  return SA ? static_cast<s32>(static_cast<std::int8_t>(v >> (8 * k))) : static_cast<s32>(v >> (8 * k) & 0xff);
}
template <bool SA>
s32 halfAt(u32 v, unsigned k) {
  return SA ? static_cast<s32>(static_cast<s16>(v >> (16 * k))) : static_cast<s32>(v >> (16 * k) & 0xffff);
}

template <bool SA, bool SB>
Run dot4() {
  return lanes([](u32 a, u32 b, u32 c) -> u32 {
    return c + static_cast<u32>(byteAt<SA>(a, 0) * byteAt<SB>(b, 0) + byteAt<SA>(a, 1) * byteAt<SB>(b, 1) + byteAt<SA>(a, 2) * byteAt<SB>(b, 2) +
                                byteAt<SA>(a, 3) * byteAt<SB>(b, 3));
  });
}
template <bool SA, bool SB, unsigned FIRST>
Run dot2() {
  return lanes([](u32 a, u32 b, u32 c) -> u32 {
    return c + static_cast<u32>(halfAt<SA>(a, 0)) * static_cast<u32>(byteAt<SB>(b, FIRST)) + static_cast<u32>(halfAt<SA>(a, 1)) * static_cast<u32>(byteAt<SB>(b, FIRST + 1));
  });
}

void dot(Decoder& d) {
  bool four = d.in.opcode == "dp4a";
  int part = four ? 0 : d.oneOf({"lo", "hi"});
  if (part < 0) d.fail("expected .lo or .hi");
  Type ta = d.type(), tb = d.type();
  for (Type t : {ta, tb}) {
    if (t != Type::S32 && t != Type::U32) d.fail("needs .s32 or .u32");
  }
  bool sa = ta == Type::S32, sb = tb == Type::S32;
  d.operands(4);
  d.out.cls = Counts::DOT;
  d.out.d = d.destination(0, Type::U32);
  d.out.a = d.source(1, Type::U32);
  d.out.b = d.source(2, Type::U32);
  d.out.c = d.source(3, Type::U32);
  if (four) {
    d.out.run = sa ? (sb ? dot4<true, true>() : dot4<true, false>()) : (sb ? dot4<false, true>() : dot4<false, false>());
  } else if (part == 0) {
    d.out.run = sa ? (sb ? dot2<true, true, 0>() : dot2<true, false, 0>()) : (sb ? dot2<false, true, 0>() : dot2<false, false, 0>());
  } else {
    d.out.run = sa ? (sb ? dot2<true, true, 2>() : dot2<true, false, 2>()) : (sb ? dot2<false, true, 2>() : dot2<false, false, 2>());
  }
}

void sumOfDifferences(Decoder& d) {
  Type t = d.type();
  if (!isInteger(t)) d.fail("unexpected type");
  d.operands(4);
  d.out.cls = Counts::INTEGER;
  d.out.d = d.destination(0, t);
  d.out.a = d.source(1, t);
  d.out.b = d.source(2, t);
  d.out.c = d.source(3, t);
  d.out.run = withInteger(t, [](auto z) -> Run {
    using T = decltype(z);
    return lanes([](T a, T b, T c) -> T { return addWrap<T>(c, static_cast<T>(a < b ? static_cast<u64>(b) - static_cast<u64>(a) : static_cast<u64>(a) - static_cast<u64>(b))); });
  });
}

void bitMask(Decoder& d) {
  int mode = d.oneOf({"clamp", "wrap"});
  if (mode < 0 || d.type() != Type::B32) d.fail("expected .clamp or .wrap, .b32");
  d.operands(3);
  d.out.cls = Counts::INTEGER;
  d.out.d = d.destination(0, Type::B32);
  d.out.a = d.source(1, Type::U32);
  d.out.b = d.source(2, Type::U32);
  if (mode == 0) {
    d.out.run = lanes([](u32 a, u32 b) -> u32 {
      if (a >= 32 || b == 0) return 0;
      u32 mask = b >= 32 ? ~0u : (1u << b) - 1;
      return mask << a;
    });
  } else {
    d.out.run = lanes([](u32 a, u32 b) -> u32 { return ((1u << (b & 31)) - 1) << (a & 31); });
  }
}
}  // namespace

void integerArithmetic(Decoder& d, Type t) {
  const std::string& op = d.in.opcode;
  d.out.cls = Counts::INTEGER;
  if (!isInteger(t)) d.fail("unexpected type");
  if ((op == "add" || op == "sub" || op == "mad" || op == "addc" || op == "subc" || op == "madc") && carryForm(d, t)) return;
  if (op == "mul" || op == "mad") return multiply(d, t, op == "mad");
  if (op == "abs" || op == "neg") {
    d.operands(2);
    d.out.d = d.destination(0, t);
    d.out.a = d.source(1, t);
    bool absolute = op == "abs";
    d.out.run = withInteger(t, [&](auto z) -> Run {
      using T = decltype(z);
      if (absolute) return lanes([](T a) -> T { return static_cast<T>(std::is_signed_v<T> && a < 0 ? 0 - static_cast<u64>(a) : static_cast<u64>(a)); });
      return lanes([](T a) -> T { return static_cast<T>(0 - static_cast<u64>(a)); });
    });
    return;
  }
  bool saturate = (op == "add" || op == "sub") && d.has("sat");
  if (saturate && t != Type::S32) d.fail(".sat needs .s32");
  three(d, t);
  d.out.run = withInteger(t, [&](auto z) -> Run {
    using T = decltype(z);
    if (saturate) {
      if (op == "add") return lanes([](s32 a, s32 b) -> s32 { s64 r = s64{a} + b; return static_cast<s32>(r > INT32_MAX ? INT32_MAX : r < INT32_MIN ? INT32_MIN : r); });
      return lanes([](s32 a, s32 b) -> s32 { s64 r = s64{a} - b; return static_cast<s32>(r > INT32_MAX ? INT32_MAX : r < INT32_MIN ? INT32_MIN : r); });
    }
    if (op == "add") return lanes([](T a, T b) -> T { return addWrap<T>(a, b); });
    if (op == "sub") return lanes([](T a, T b) -> T { return static_cast<T>(static_cast<Unsigned<T>>(a) - static_cast<Unsigned<T>>(b)); });
    if (op == "min") return lanes([](T a, T b) -> T { return a < b ? a : b; });
    if (op == "max") return lanes([](T a, T b) -> T { return a < b ? b : a; });
    if (op == "div") return lanes([](T a, T b) -> T { return quotient<T>(a, b); });
    if (op == "rem") return lanes([](T a, T b) -> T { return remainder<T>(a, b); });
    return nullptr;
  });
  if (d.out.run == nullptr) d.fail("no integer form");
}

void addInteger(DecodeTable& table) {
  for (const char* op : {"and", "or", "xor", "not", "cnot"}) table[op] = &logic;
  for (const char* op : {"shl", "shr"}) table[op] = &shift;
  for (const char* op : {"popc", "clz", "brev", "bfind"}) table[op] = &countBits;
  for (const char* op : {"mul24", "mad24"}) table[op] = &multiply24;
  for (const char* op : {"dp4a", "dp2a"}) table[op] = &dot;
  table["shf"] = &funnelShift;
  table["lop3"] = &lop3;
  table["bfe"] = &extractField;
  table["bfi"] = &insertField;
  table["bmsk"] = &bitMask;
  table["prmt"] = &prmt;
  table["sad"] = &sumOfDifferences;
}

}  // namespace lacuna::emulator
