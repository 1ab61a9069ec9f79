// SPDX-License-Identifier: Apache-2.0
// Edges of single instructions, with results worked out by hand from the ISA.
#include <bit>
#include <cmath>

#include "harness.h"

using namespace lacuna::emulator;
using namespace lacuna::emulator::test;

namespace {
std::uint32_t f(float v) { return std::bit_cast<std::uint32_t>(v); }
constexpr std::uint32_t NAN_BITS = 0x7fffffff;
constexpr std::uint32_t INF = 0x7f800000;

TEST(additionWrapsAndSaturates) {
  EQUAL(0x80000000u, one("add.s32 %out, %a, %b;", 0x7fffffff, 1));
  EQUAL(0x7fffffffu, one("add.sat.s32 %out, %a, %b;", 0x7fffffff, 1));
  EQUAL(0x80000000u, one("sub.sat.s32 %out, %a, %b;", 0x80000000, 1));
  EQUAL(0u, one("add.u32 %out, %a, %b;", 0xffffffff, 1));
}

TEST(carriesPassBetweenWords) {
  // 0x00000001'ffffffff + 0x00000002'00000001 = 0x00000004'00000000
  EQUAL(4u, one("add.cc.u32 %r0, %a, 1; addc.u32 %out, %b, %c;", 0xffffffff, 1, 2));
  // 0x00000005'00000000 - 0x00000002'00000001 = 0x00000002'ffffffff
  EQUAL(2u, one("sub.cc.u32 %r0, %a, 1; subc.u32 %out, %b, %c;", 0, 5, 2));
  EQUAL(0xffffffffu, one("sub.cc.u32 %out, %a, 1; subc.u32 %r0, %b, %c;", 0, 5, 2));
  EQUAL(3u, one("sub.cc.u32 %r0, %a, 1; subc.u32 %out, %b, %c;", 1, 5, 2));
  // low half of 0xffffffff * 0xffffffff + 0xffffffff carries into the high half
  EQUAL(0xffffffffu, one("mad.lo.cc.u32 %r0, %a, %b, %c; madc.hi.u32 %out, %a, %b, 0;", 0xffffffff, 0xffffffff, 0xffffffff));
}

TEST(productsKeepTheHalfAskedFor) {
  EQUAL(1u, one("mul.lo.u32 %out, %a, %b;", 0xffffffff, 0xffffffff));
  EQUAL(0xfffffffeu, one("mul.hi.u32 %out, %a, %b;", 0xffffffff, 0xffffffff));
  EQUAL(0u, one("mul.hi.s32 %out, %a, %b;", 0xffffffff, 0xffffffff));
  EQUAL(0xfffffffeu, one("mul.wide.s32 %d0, %a, %b; mov.b64 {%out, %r0}, %d0;", 0xffffffff, 2));
  EQUAL(0xffffffffu, one("mul.wide.s32 %d0, %a, %b; mov.b64 {%r0, %out}, %d0;", 0xffffffff, 2));
  EQUAL(1u, one("mul.wide.u32 %d0, %a, %b; mov.b64 {%r0, %out}, %d0;", 0xffffffff, 2));
  EQUAL(0xffffu * 0xffffu, one("cvt.u16.u32 %h0, %a; mul.wide.u16 %out, %h0, %h0;", 0xffff));
  EQUAL(7u, one("mad.lo.s32 %out, %a, %b, %c;", 0xffffffff, 3, 10));
  EQUAL(static_cast<std::uint32_t>(-6), one("mul24.lo.s32 %out, %a, %b;", 0xfffffe, 3));
  EQUAL(0xffffffffffffffffull, one64("mul.hi.s64 %out, %a, %b;", ~0ull, 5));
  EQUAL(4ull, one64("mul.hi.u64 %out, %a, %b;", ~0ull, 5));
}

TEST(divisionTruncates) {
  EQUAL(static_cast<std::uint32_t>(-3), one("div.s32 %out, %a, %b;", static_cast<std::uint32_t>(-7), 2));
  EQUAL(static_cast<std::uint32_t>(-1), one("rem.s32 %out, %a, %b;", static_cast<std::uint32_t>(-7), 2));
  EQUAL(0x80000000u, one("div.s32 %out, %a, %b;", 0x80000000, 0xffffffff));
  EQUAL(0x7fffffffu, one("div.u32 %out, %a, %b;", 0xffffffff, 2));
}

TEST(shiftsClamp) {
  EQUAL(0u, one("shl.b32 %out, %a, %b;", 1, 32));
  EQUAL(0u, one("shr.u32 %out, %a, %b;", 0x80000000, 40));
  EQUAL(0xffffffffu, one("shr.s32 %out, %a, %b;", 0x80000000, 40));
  EQUAL(0xf8000000u, one("shr.s32 %out, %a, %b;", 0x80000000, 4));
}

TEST(funnelShifts) {
  // c:b:a with a the low word
  EQUAL(0x23456789u, one("shf.l.wrap.b32 %out, %a, %b, %c;", 0x9abcdef0, 0x12345678, 4) );
  EQUAL(0x12345678u, one("shf.l.wrap.b32 %out, %a, %b, %c;", 0x9abcdef0, 0x12345678, 32));
  EQUAL(0x9abcdef0u, one("shf.l.clamp.b32 %out, %a, %b, %c;", 0x9abcdef0, 0x12345678, 32));
  EQUAL(0x89abcdefu, one("shf.r.wrap.b32 %out, %a, %b, %c;", 0x9abcdef0, 0x12345678, 4));
  EQUAL(0x9abcdef0u, one("shf.r.wrap.b32 %out, %a, %b, %c;", 0x9abcdef0, 0x12345678, 32));
  EQUAL(0x12345678u, one("shf.r.clamp.b32 %out, %a, %b, %c;", 0x9abcdef0, 0x12345678, 99));
}

TEST(lop3FollowsItsTable) {
  for (unsigned table : {0x80u, 0xfeu, 0x96u, 0xeau, 0x1bu, 0xcau}) {
    std::uint32_t a = 0xf0f0f0f0, b = 0xcccccccc, c = 0xaaaaaaaa, expected = 0;
    for (unsigned k = 0; k < 32; k++) expected |= (table >> ((a >> k & 1) * 4 + (b >> k & 1) * 2 + (c >> k & 1)) & 1) << k;
    EQUAL(expected, one("lop3.b32 %out, %a, %b, %c, " + std::to_string(table) + ";", a, b, c));
  }
  EQUAL(0xffffff0fu & 0x12345678u, one("lop3.b32 %out, %a, %b, %c, 0x80;", 0xffffff0f, 0x12345678, 0xffffffff));
}

TEST(bitsAreCountedAndMoved) {
  EQUAL(8u, one("popc.b32 %out, %a;", 0xf000000f));
  EQUAL(32u, one("clz.b32 %out, %a;", 0));
  EQUAL(3u, one("clz.b32 %out, %a;", 0x10000000));
  EQUAL(0x80000000u, one("brev.b32 %out, %a;", 1));
  EQUAL(0xffffffffu, one("bfind.u32 %out, %a;", 0));
  EQUAL(30u, one("bfind.s32 %out, %a;", 0x80000000));
  EQUAL(31u, one("bfind.u32 %out, %a;", 0x80000000));
  EQUAL(0u, one("bfind.shiftamt.u32 %out, %a;", 0x80000000));
  EQUAL(0x56u, one("bfe.u32 %out, %a, 8, 8;", 0x12345678));
  EQUAL(0xfffffff8u, one("bfe.s32 %out, %a, 0, 4;", 0x12345678));
  EQUAL(0xffffffffu, one("bfe.s32 %out, %a, 40, 4;", 0x80000000));
  EQUAL(0u, one("bfe.u32 %out, %a, 4, 0;", 0xffffffff));
  EQUAL(0x00000f80u, one("bfe.u32 %out, %a, 20, 20;", 0xf8000000));
  EQUAL(0x1234ab78u, one("bfi.b32 %out, %a, %b, 8, 8;", 0xab, 0x12345678));
  EQUAL(0x12345678u, one("bfi.b32 %out, %a, %b, 32, 8;", 0xab, 0x12345678));
  EQUAL(0xb2345678u, one("bfi.b32 %out, %a, %b, 28, 9;", 0xab, 0x12345678));
}

TEST(permuteModes) {
  // bytes of b:a are 7 6 5 4 : 3 2 1 0
  std::uint32_t a = 0x33221180, b = 0x77665544;
  EQUAL(0x80112233u, one("prmt.b32 %out, %a, %b, 0x0123;", a, b));
  EQUAL(0x77338044u, one("prmt.b32 %out, %a, %b, 0x7304;", a, b));
  EQUAL(0xff0000ffu, one("prmt.b32 %out, %a, %b, 0x8998;", a, b));
  EQUAL(0x44332211u, one("prmt.b32.f4e %out, %a, %b, 1;", a, b));
  EQUAL(0x66778011u, one("prmt.b32.b4e %out, %a, %b, 1;", a, b));
  EQUAL(0x22222222u, one("prmt.b32.rc8 %out, %a, %b, 2;", a, b));
  EQUAL(0x33222222u, one("prmt.b32.ecl %out, %a, %b, 2;", a, b));
  EQUAL(0x22221180u, one("prmt.b32.ecr %out, %a, %b, 2;", a, b));
  EQUAL(0x33223322u, one("prmt.b32.rc16 %out, %a, %b, 1;", a, b));
}

TEST(dotProducts) {
  EQUAL(static_cast<std::uint32_t>(10 - 1 * 5 + 2 * 6 - 128 * 127 + 3 * -1), one("dp4a.s32.s32 %out, %a, %b, %c;", 0x038002ff, 0xff7f0605, 10));
  EQUAL(255u * 255 * 4, one("dp4a.u32.u32 %out, %a, %b, %c;", 0xffffffff, 0xffffffff, 0));
  EQUAL(static_cast<std::uint32_t>(-255 * 4), one("dp4a.s32.u32 %out, %a, %b, %c;", 0xffffffff, 0xffffffff, 0));
  EQUAL(static_cast<std::uint32_t>(2 * 3 + -1 * 4), one("dp2a.lo.s32.s32 %out, %a, %b, %c;", 0xffff0002, 0x06050403, 0));
  EQUAL(static_cast<std::uint32_t>(2 * 5 + -1 * 6), one("dp2a.hi.s32.s32 %out, %a, %b, %c;", 0xffff0002, 0x06050403, 0));
}

TEST(floatsRoundAsAsked) {
  std::uint32_t third = f(3.0f), tiny = f(std::ldexp(1.0f, -30));
  EQUAL(f(1.0f), one("add.rn.f32 %out, %a, %b;", f(1.0f), tiny));
  EQUAL(f(1.0f) + 1, one("add.rp.f32 %out, %a, %b;", f(1.0f), tiny));
  EQUAL(f(1.0f), one("add.rm.f32 %out, %a, %b;", f(1.0f), tiny));
  EQUAL(f(1.0f) - 1, one("sub.rz.f32 %out, %a, %b;", f(1.0f), tiny));
  EQUAL(f(1.0f), one("sub.rp.f32 %out, %a, %b;", f(1.0f), tiny));
  EQUAL(0x3eaaaaabu, one("div.rn.f32 %out, %a, %b;", f(1.0f), third));
  EQUAL(0x3eaaaaaau, one("div.rz.f32 %out, %a, %b;", f(1.0f), third));
  // (1 + 2^-12)^2 - 1 needs the exact product
  float x = 1.0f + std::ldexp(1.0f, -12);
  EQUAL(f(std::ldexp(1.0f, -11) + std::ldexp(1.0f, -24)), one("fma.rn.f32 %out, %a, %a, %b;", f(x), f(-1.0f)));
  EQUAL(NAN_BITS, one("add.f32 %out, %a, %b;", INF, INF | 0x80000000));
  EQUAL(NAN_BITS, one("mul.f32 %out, %a, %b;", 0xffc12345, f(1.0f)));
  EQUAL(f(1.0f), one("add.sat.f32 %out, %a, %b;", f(1.0f), f(5.0f)));
  EQUAL(0u, one("mul.sat.f32 %out, %a, %b;", NAN_BITS, f(5.0f)));
}

TEST(subnormalsAreFlushedOnlyWhenAsked) {
  EQUAL(2u, one("add.f32 %out, %a, %b;", 1, 1));
  EQUAL(0u, one("add.ftz.f32 %out, %a, %b;", 1, 1));
  EQUAL(0x80000000u, one("mul.ftz.f32 %out, %a, %b;", 0x80000001, f(1.0f)));
  EQUAL(0u, one("mul.ftz.f32 %out, %a, %b;", 0x00800000, f(0.5f)));
  EQUAL(0x00400000u, one("mul.f32 %out, %a, %b;", 0x00800000, f(0.5f)));
}

TEST(extremesAndNaN) {
  EQUAL(f(2.0f), one("min.f32 %out, %a, %b;", NAN_BITS, f(2.0f)));
  EQUAL(NAN_BITS, one("min.NaN.f32 %out, %a, %b;", 0x7fc00001, f(2.0f)));
  EQUAL(NAN_BITS, one("max.f32 %out, %a, %b;", 0xffc00001, 0x7fc00000));
  EQUAL(0x80000000u, one("min.f32 %out, %a, %b;", 0, 0x80000000));
  EQUAL(0u, one("max.f32 %out, %a, %b;", 0x80000000, 0));
  EQUAL(0x7fffu, one("mov.b32 {%h0, %h1}, %a; mov.b32 {%h2, %h3}, %b; max.NaN.f16 %h0, %h0, %h2; cvt.u32.u16 %out, %h0;", 0x7e01, 0x3c00));
  EQUAL(0x3c00u, one("mov.b32 {%h0, %h1}, %a; mov.b32 {%h2, %h3}, %b; max.f16 %h0, %h0, %h2; cvt.u32.u16 %out, %h0;", 0x7e01, 0x3c00));
}

TEST(approximationsAreClose) {
  EQUAL(f(8.0f), one("ex2.approx.f32 %out, %a;", f(3.0f)));
  EQUAL(f(3.0f), one("lg2.approx.f32 %out, %a;", f(8.0f)));
  EQUAL(INF, one("rcp.approx.f32 %out, %a;", 0));
  EQUAL(INF | 0x80000000, one("rcp.approx.ftz.f32 %out, %a;", 0x80000001));
  EQUAL(f(0.5f), one("rsqrt.approx.f32 %out, %a;", f(4.0f)));
  EQUAL(NAN_BITS, one("sqrt.rn.f32 %out, %a;", f(-1.0f)));
  EQUAL(0u, one("ex2.approx.ftz.f32 %out, %a;", f(-130.0f)));
}

TEST(conversionsSaturateAndRound) {
  EQUAL(0x7fffffffu, one("cvt.rzi.s32.f32 %out, %a;", f(3e9f)));
  EQUAL(0x80000000u, one("cvt.rzi.s32.f32 %out, %a;", f(-3e9f)));
  EQUAL(0u, one("cvt.rzi.s32.f32 %out, %a;", NAN_BITS));
  EQUAL(0u, one("cvt.rzi.u32.f32 %out, %a;", f(-5.0f)));
  EQUAL(2u, one("cvt.rni.s32.f32 %out, %a;", f(2.5f)));
  EQUAL(4u, one("cvt.rni.s32.f32 %out, %a;", f(3.5f)));
  EQUAL(static_cast<std::uint32_t>(-3), one("cvt.rmi.s32.f32 %out, %a;", f(-2.5f)));
  EQUAL(static_cast<std::uint32_t>(-2), one("cvt.rpi.s32.f32 %out, %a;", f(-2.5f)));
  EQUAL(f(2.0f), one("cvt.rni.f32.f32 %out, %a;", f(2.5f)));
  EQUAL(0x80000000u, one("cvt.rpi.f32.f32 %out, %a;", f(-0.5f)));
  EQUAL(0x4b800000u, one("cvt.rn.f32.s32 %out, %a;", 16777217));
  EQUAL(0x4b800001u, one("cvt.rp.f32.s32 %out, %a;", 16777217));
  EQUAL(0xffffff80u, one("cvt.s32.s8 %out, %a;", 0x12345680));
  EQUAL(0x80u, one("cvt.u32.u8 %out, %a;", 0x12345680));
  EQUAL(127u, one("cvt.sat.s8.s32 %out, %a;", 300));
  EQUAL(0xffffff80u, one("cvt.sat.s8.s32 %out, %a;", static_cast<std::uint32_t>(-300)));
  EQUAL(0u, one("cvt.sat.u8.s32 %out, %a;", static_cast<std::uint32_t>(-300)));
  EQUAL(255u, one("cvt.sat.u8.u32 %out, %a;", 0xffffffff));
  EQUAL(f(1.0f), one("cvt.sat.f32.f32 %out, %a;", f(7.0f)));
  EQUAL(0x7f80ff01u, one("cvt.pack.sat.s8.s32.b32 %r0, 255, -129, 0; cvt.pack.sat.s8.s32.b32 %out, -1, 1, %r0;", 0));
  EQUAL(0x8000ffffu, one("cvt.pack.sat.s16.s32 %r0, -40000, -1; mov.b32 %out, %r0;", 0));
}

TEST(halvesRoundOnce) {
  // 2049 lies between 2048 and 2050 and goes to the even one; 65520 is beyond the largest half
  EQUAL(0x6800u, one("cvt.rn.f16.f32 %h0, %a; cvt.u32.u16 %out, %h0;", f(2049.0f)));
  EQUAL(0x7c00u, one("cvt.rn.f16.f32 %h0, %a; cvt.u32.u16 %out, %h0;", f(65520.0f)));
  EQUAL(0x7bffu, one("cvt.rz.f16.f32 %h0, %a; cvt.u32.u16 %out, %h0;", f(65520.0f)));
  EQUAL(0x7fffu, one("cvt.rn.f16.f32 %h0, %a; cvt.u32.u16 %out, %h0;", NAN_BITS));
  EQUAL(0x0001u, one("cvt.rn.f16.f32 %h0, %a; cvt.u32.u16 %out, %h0;", f(std::ldexp(1.0f, -24))));
  EQUAL(0x40003c00u, one("cvt.rn.f16x2.f32 %out, %a, %b;", f(2.0f), f(1.0f)));
  EQUAL(0x40003f80u, one("cvt.rn.bf16x2.f32 %out, %a, %b;", f(2.0f), f(1.0f)));
  EQUAL(0x3f80u, one("cvt.rn.bf16.f32 %h0, %a; cvt.u32.u16 %out, %h0;", 0x3f808000));
  EQUAL(0x3f82u, one("cvt.rn.bf16.f32 %h0, %a; cvt.u32.u16 %out, %h0;", 0x3f818000));
  EQUAL(0x00003f80u, one("cvt.rn.relu.bf16x2.f32 %out, %a, %b;", f(-2.0f), f(1.0f)));
  EQUAL(f(1.5f), one("mov.b32 {%h0, %h1}, %a; cvt.f32.f16 %out, %h0;", 0x3e00));
  EQUAL(0x3f802000u, one("cvt.rna.tf32.f32 %out, %a;", 0x3f801000));
  // (1 + 2^-10) * (1 + 2^-10) + 2^-24: exactly half way between halves but for the addend
  EQUAL(0x3c033c02u & 0xffff, one("mov.b32 {%h0, %h1}, %a; mov.b32 {%h2, %h3}, %b; fma.rn.f16 %h4, %h0, %h0, %h2; cvt.u32.u16 %out, %h4;", 0x3c01, 0x0001));
  EQUAL(0xbc004000u, one("add.f16x2 %out, %a, %b;", 0x3c003c00, 0xc0003c00));
  EQUAL(0x00004000u, one("fma.rn.relu.f16x2 %out, %a, %b, %c;", 0x3c003c00, 0xbc003c00, 0x00003c00));
  EQUAL(0x40404040u, one("fma.rn.bf16x2 %out, %a, %b, %c;", 0x3f803f80, 0x40004000, 0x3f803f80));
  EQUAL(0x7f807f80u, one("mul.bf16x2 %out, %a, %a;", 0x7f007f00));
}

TEST(comparisonsOfNaN) {
  auto holds = [](const char* op, std::uint32_t a, std::uint32_t b) { return one(std::string("setp.") + op + ".f32 %p0, %a, %b; selp.b32 %out, 1, 0, %p0;", a, b) == 1; };
  for (const char* op : {"eq", "ne", "lt", "le", "gt", "ge", "num"}) CHECK(!holds(op, NAN_BITS, 0));
  for (const char* op : {"equ", "neu", "ltu", "leu", "gtu", "geu", "nan"}) CHECK(holds(op, NAN_BITS, 0));
  CHECK(holds("eq", 0, 0x80000000));
  CHECK(holds("lt", f(-1.0f), 0));
  EQUAL(1u, one("setp.hi.u32 %p0, %a, %b; selp.b32 %out, 1, 0, %p0;", 0x80000000, 1));
  EQUAL(0u, one("setp.gt.s32 %p0, %a, %b; selp.b32 %out, 1, 0, %p0;", 0x80000000, 1));
  // p|q and a combination
  EQUAL(2u, one("setp.eq.s32 %p2, %a, %a; setp.lt.and.s32 %p0|%p1, %a, %b, %p2; selp.b32 %out, 1, 0, %p0; @%p1 add.u32 %out, %out, 2;", 5, 3));
  EQUAL(0u, one("setp.eq.s32 %p2, %a, %a; setp.gt.and.s32 %p0|%p1, %a, %b, !%p2; selp.b32 %out, 1, 0, %p0; @%p1 add.u32 %out, %out, 2;", 5, 3));
  EQUAL(f(1.0f), one("set.gt.f32.s32 %out, %a, %b;", 5, 3));
  EQUAL(0xffffffffu, one("set.gt.u32.s32 %out, %a, %b;", 5, 3));
  EQUAL(0x00003c00u, one("set.gt.f16x2.f16x2 %out, %a, %b;", 0x3c004000, 0x3c003c00));
}

TEST(signsAndMagnitudes) {
  EQUAL(f(-2.0f), one("copysign.f32 %out, %a, %b;", f(-1.0f), f(2.0f)));
  EQUAL(0x80000000u, one("abs.s32 %out, %a;", 0x80000000));
  EQUAL(1u, one("cnot.b32 %out, %a;", 0));
  EQUAL(13u, one("sad.u32 %out, %a, %b, %c;", 2, 5, 10));
  EQUAL(1u, one("testp.subnormal.f32 %p0, %a; selp.b32 %out, 1, 0, %p0;", 1));
}

TEST(warpExchanges) {
  std::vector<std::uint32_t> lanes(32);
  for (unsigned l = 0; l < 32; l++) lanes[l] = 100 + l;
  auto up = compute("shfl.sync.up.b32 %out|%p0, %a, 3, 0, -1; @!%p0 mov.u32 %out, 0;", lanes);
  auto down = compute("shfl.sync.down.b32 %out, %a, 3, 0x1f, -1;", lanes);
  auto segments = compute("shfl.sync.down.b32 %out, %a, 3, 0x181f, -1;", lanes);
  auto cross = compute("shfl.sync.bfly.b32 %out, %a, 5, 0x1f, -1;", lanes);
  auto index = compute("shfl.sync.idx.b32 %out, %a, %b, 0x1f, -1;", lanes, std::vector<std::uint32_t>(32, 7));
  for (unsigned l = 0; l < 32; l++) {
    EQUAL(l < 3 ? 0 : 100 + l - 3, up[l]);
    EQUAL(l + 3 < 32 ? 100 + l + 3 : 100 + l, down[l]);
    EQUAL(l % 8 + 3 < 8 ? 100 + l + 3 : 100 + l, segments[l]);
    EQUAL(100 + (l ^ 5), cross[l]);
    EQUAL(107u, index[l]);
  }
  auto ballot = compute("and.b32 %r0, %a, 1; setp.eq.u32 %p0, %r0, 1; vote.sync.ballot.b32 %out, %p0, -1;", lanes);
  auto sum = compute("redux.sync.add.s32 %out, %a, -1;", lanes);
  auto any = compute("and.b32 %r0, %a, 3; match.any.sync.b32 %out, %r0, -1;", lanes);
  for (unsigned l = 0; l < 32; l++) {
    EQUAL(0xaaaaaaaau, ballot[l]);
    EQUAL(100u * 32 + 31 * 16, sum[l]);
    EQUAL(0x11111111u << (l % 4), any[l]);
  }
}
}  // namespace
