// SPDX-License-Identifier: Apache-2.0
// Branches, calls, variables, barriers, counts and the memory.
#include <random>

#include "harness.h"

using namespace lacuna::emulator;
using namespace lacuna::emulator::test;

namespace {
std::vector<std::uint32_t> ascending(unsigned n) {
  std::vector<std::uint32_t> v(n);
  for (unsigned k = 0; k < n; k++) v[k] = k;
  return v;
}

TEST(loopsOfUnequalLength) {
  // sum of 0 .. lane, and lanes leave in the middle when the sum passes 100
  auto sums = compute("mov.u32 %r0, 0; mov.u32 %out, 0;\nLOOP: setp.gt.u32 %p0, %r0, %lane; @%p0 bra DONE; add.u32 %out, %out, %r0; add.u32 %r0, %r0, 1; setp.gt.u32 %p1, %out, 100; @%p1 bra BIG; bra LOOP;\n"
                      "BIG: add.u32 %out, %out, 1000;\nDONE: shfl.sync.idx.b32 %r1, %out, 2, 31, -1; add.u32 %out, %out, %r1;",
                      ascending(32));
  for (unsigned l = 0; l < 32; l++) {
    unsigned sum = 0;
    for (unsigned k = 0; k <= l && sum <= 100; k++) sum += k;
    EQUAL((sum > 100 ? sum + 1000 : sum) + 3, sums[l]);
  }
}

TEST(nestedBranches) {
  auto out = compute("and.b32 %r0, %lane, 1; setp.eq.u32 %p0, %r0, 0; @%p0 bra EVEN;\n and.b32 %r1, %lane, 2; setp.eq.u32 %p1, %r1, 0; @%p1 bra LOW; mov.u32 %out, 3; bra MEET;\nLOW: mov.u32 %out, 1; bra MEET;\n"
                     "EVEN: mov.u32 %out, 0;\nMEET: vote.sync.ballot.b32 %r2, %p0, -1; setp.ne.u32 %p2, %r2, 0x55555555; @%p2 trap; add.u32 %out, %out, 10;",
                     ascending(32));
  for (unsigned l = 0; l < 32; l++) EQUAL(10 + (l % 2 == 0 ? 0 : l % 4), out[l]);
}

TEST(branchTables) {
  auto out = compute("and.b32 %r0, %lane, 3; brx.idx %r0, TABLE;\nTABLE: .branchtargets A, B, C, A;\nA: mov.u32 %out, 1; bra END;\nB: mov.u32 %out, 2; bra END;\nC: mov.u32 %out, 3;\nEND: add.u32 %out, %out, 5;", ascending(32));
  for (unsigned l = 0; l < 32; l++) EQUAL((l % 4 == 1 ? 2u : l % 4 == 2 ? 3u : 1u) + 5, out[l]);
}

TEST(lanesOfOneWarpMayWaitForEachOther) {
  // a lock that lanes take in turn
  std::string body =
      ".reg .pred %p; .reg .b32 %r<4>; .reg .b64 %d; ld.param.u64 %d, [p];\n"
      "TRY: atom.global.cas.b32 %r0, [%d], 0, 1; setp.ne.u32 %p, %r0, 0; @%p bra TRY;\n"
      "ld.volatile.global.u32 %r1, [%d+4]; add.u32 %r1, %r1, 1; st.volatile.global.u32 [%d+4], %r1; membar.gl; atom.global.exch.b32 %r0, [%d], 0;";
  Device device(kernel(".param .u64 p", body));
  Address p = device.upload(std::vector<int>{0, 0});
  Options options;
  options.instructionLimit = 1 << 24;
  Result r = device.run("k", {3}, {32}, Arguments(p), 0, options);
  if (!r.ok()) failed("flow", 0, r.message);
  EQUAL(96, device.download<int>(p, 2)[1]);
}

TEST(warpsMayWaitForAFlagOfAnother) {
  std::string body =
      ".reg .pred %p<2>; .reg .b32 %r<4>, %t; .reg .b64 %d; ld.param.u64 %d, [p]; mov.u32 %t, %tid.x;\n"
      "setp.ge.u32 %p0, %t, 32; @%p0 bra SET;\nWAIT: ld.acquire.gpu.global.u32 %r0, [%d]; setp.eq.u32 %p1, %r0, 0; @%p1 bra WAIT; bra END;\nSET: atom.release.gpu.global.exch.b32 %r0, [%d], 1;\nEND: ret;";
  Device device(kernel(".param .u64 p", body));
  Address p = device.upload(std::vector<int>{0});
  Result r = device.run("k", {1}, {64}, Arguments(p));
  if (!r.ok()) failed("flow", 0, r.message);
}

const char* const MODULE = R"(.version 8.5
.target sm_80
.address_size 64
.const .align 4 .f32 factors[4] = {0f3F800000, 0f40000000, 0f40400000, 0f40800000};
.global .align 4 .u32 counter = 7;
.global .align 8 .u64 where[2] = {counter, generic(counter)};
.shared .align 4 .b8 words[128];
.extern .shared .align 16 .b8 dynamic[];
.func (.param .b32 result) twice(.param .b32 x) {
  .reg .b32 %r<3>;
  .reg .pred %p;
  ld.param.u32 %r0, [x];
  setp.gt.u32 %p, %r0, 100;
  @%p bra BIG;
  add.u32 %r1, %r0, %r0;
  st.param.b32 [result], %r1;
  ret;
BIG:
  st.param.b32 [result], 1;
  ret;
}
.visible .entry calls(.param .u64 p) {
  .local .align 8 .b8 depot[64];
  .reg .b32 %r<9>; .reg .b64 %d<9>; .reg .f32 %f<4>;
  ld.param.u64 %d0, [p];
  mov.u32 %r0, %tid.x;
  mul.lo.u32 %r1, %r0, 10;
  { .param .b32 in; .param .b32 out; st.param.b32 [in], %r1; call.uni (out), twice, (in); ld.param.b32 %r2, [out]; }
  { .param .b32 in; .param .b32 out; st.param.b32 [in], %r2; call (out), twice, (in); ld.param.b32 %r3, [out]; }
  mov.u64 %d1, depot; cvta.local.u64 %d2, %d1;
  and.b32 %r4, %r0, 7; mul.wide.u32 %d3, %r4, 8; add.u64 %d2, %d2, %d3;
  st.u32 [%d2], %r3; add.u64 %d1, %d1, %d3; ld.local.u32 %r5, [%d1];
  mov.u64 %d4, factors; and.b32 %r6, %r0, 3; mul.wide.u32 %d5, %r6, 4; add.u64 %d4, %d4, %d5; ld.const.f32 %f0, [%d4];
  cvt.rzi.u32.f32 %r7, %f0; add.u32 %r5, %r5, %r7;
  ld.global.u64 %d6, [where+8]; red.global.add.u32 [%d6], 1;
  mul.wide.u32 %d7, %r0, 4; add.u64 %d7, %d0, %d7; st.global.u32 [%d7], %r5;
  ret;
}
.visible .entry sizes(.param .u64 p) {
  .reg .b32 %r<4>; .reg .b64 %d0;
  ld.param.u64 %d0, [p];
  st.shared.u32 [words+124], 1; st.shared.u32 [dynamic+60], 2;
  mov.u32 %r0, %dynamic_smem_size; mov.u32 %r1, dynamic; st.global.v2.u32 [%d0], {%r0, %r1};
  ret;
}
)";

TEST(callsVariablesAndSpaces) {
  Device device(MODULE);
  CHECK(device.module.global("counter") != nullptr);
  EQUAL(std::size_t{4}, device.module.global("counter")->bytes);
  Address p = device.memory.allocate(128);
  Result r = device.run("calls", {1}, {32}, Arguments(p));
  if (!r.ok()) failed("flow", 0, r.message);
  auto out = device.download<std::uint32_t>(p, 32);
  auto twice = [](std::uint32_t x) { return x > 100 ? 1 : 2 * x; };
  for (unsigned l = 0; l < 32; l++) EQUAL(twice(twice(l * 10)) + l % 4 + 1, out[l]);
  EQUAL(39u, device.download<std::uint32_t>(device.module.global("counter")->address, 1)[0]);
  CHECK(device.module.function("calls")->sharedBytes == 0);
  CHECK(device.module.function("calls")->localBytes >= 64);
  const Function* sizes = device.module.function("sizes");
  EQUAL(std::size_t{128}, sizes->sharedBytes);
  CHECK(device.run("sizes", {1}, {1}, Arguments(p), 64).ok());
  auto pair = device.download<std::uint32_t>(p, 2);
  EQUAL(64u, pair[0]);
  EQUAL(128u, pair[1]);
  CHECK(device.run("sizes", {1}, {1}, Arguments(p), 60).fault == Fault::ILLEGAL_ADDRESS);
}

TEST(recursionIsRefused) {
  try {
    Device device(".version 8.5\n.target sm_80\n.address_size 64\n.func f() { call f; ret; }\n.visible .entry k() { call f; ret; }");
    failed("flow", 0, "accepted recursion");
  } catch (const PtxError& e) {
    CHECK(std::string(e.what()).find("recursion through f") != std::string::npos);
  }
}

TEST(parametersByValue) {
  std::string body = ".reg .b64 %d<4>; .reg .b32 %r<4>, %t; .reg .b16 %h; ld.param.u64 %d0, [p]; mov.u32 %t, %tid.x; mov.b64 %d1, s; mul.wide.u32 %d2, %t, 4; add.u64 %d1, %d1, %d2;\n"
                     "ld.param.u32 %r0, [%d1+4]; ld.param.u16 %h, [s]; cvt.u32.u16 %r1, %h; add.u32 %r0, %r0, %r1; mul.wide.u32 %d2, %t, 4; add.u64 %d0, %d0, %d2; st.global.u32 [%d0], %r0;";
  Device device(kernel(".param .align 4 .b8 s[20], .param .u64 p", body));
  const auto& parameters = device.module.function("k")->parameters;
  EQUAL(std::size_t{24}, parameters[1].offset);
  EQUAL(std::size_t{32}, device.module.function("k")->parameterBytes);
  Address p = device.memory.allocate(16);
  CHECK(device.run("k", {1}, {4}, Arguments(100u, 1u, 2u, 3u, 4u, p)).ok());
  auto out = device.download<std::uint32_t>(p, 4);
  for (unsigned l = 0; l < 4; l++) EQUAL(101 + l, out[l]);
}

TEST(barriersReduce) {
  std::string body = ".reg .pred %p<3>; .reg .b32 %r<4>, %t; .reg .b64 %d<2>; ld.param.u64 %d0, [p]; mov.u32 %t, %tid.x; and.b32 %r0, %t, 3; setp.eq.u32 %p0, %r0, 0;\n"
                     "barrier.sync.aligned 0; bar.red.popc.u32 %r1, 0, %p0; bar.red.or.pred %p1, 0, %p0; bar.red.and.pred %p2, 0, !%p0; selp.u32 %r2, 1000, 0, %p1; add.u32 %r1, %r1, %r2; selp.u32 %r2, 5000, 0, %p2;\n"
                     "add.u32 %r1, %r1, %r2; mul.wide.u32 %d1, %t, 4; add.u64 %d0, %d0, %d1; st.global.u32 [%d0], %r1;";
  Device device(kernel(".param .u64 p", body));
  Address p = device.memory.allocate(400);
  Result r = device.run("k", {1}, {100}, Arguments(p));
  if (!r.ok()) failed("flow", 0, r.message);
  for (std::uint32_t v : device.download<std::uint32_t>(p, 100)) EQUAL(1025u, v);
  EQUAL(std::uint64_t{4}, r.counts.barriers);
}

TEST(producersAndConsumers) {
  // warp 0 arrives at 1 when it has written, warp 1 waits for it: an order without warp 0 waiting
  std::string body = ".shared .align 4 .b8 box[128]; .reg .pred %p; .reg .b32 %r<3>, %t; .reg .b64 %d<2>; ld.param.u64 %d0, [p]; mov.u32 %t, %tid.x; and.b32 %r0, %t, 31; shl.b32 %r0, %r0, 2; mov.u32 %r1, box; add.u32 %r0, %r0, %r1;\n"
                     "setp.ge.u32 %p, %t, 32; @%p bra READ; st.shared.u32 [%r0], %t; bar.arrive 1, 64; bra END;\nREAD: bar.sync 1, 64; ld.shared.u32 %r2, [%r0]; mul.wide.u32 %d1, %r2, 4; add.u64 %d0, %d0, %d1; st.global.u32 [%d0], %r2;\nEND: ret;";
  Device device(kernel(".param .u64 p", body));
  Address p = device.memory.allocate(128);
  Result r = device.run("k", {1}, {64}, Arguments(p));
  if (!r.ok()) failed("flow", 0, r.message);
  EQUAL(31u, device.download<std::uint32_t>(p, 32)[31]);
}

TEST(manyBlocksAndAtomics) {
  std::string body = ".reg .b32 %r<9>; .reg .b64 %d<4>; .reg .f32 %f; ld.param.u64 %d0, [p]; mov.u32 %r0, %ctaid.y; mov.u32 %r1, %nctaid.x; mov.u32 %r2, %ctaid.x; mad.lo.u32 %r3, %r0, %r1, %r2;\n"
                     "red.global.add.u32 [%d0], 1; red.global.max.s32 [%d0+4], %r3; atom.global.add.f32 %f, [%d0+8], 0f3F000000; red.global.add.u64 [%d0+16], 3; red.global.add.noftz.f16x2 [%d0+12], 0x00003c00;";
  Device device(kernel(".param .u64 p", body));
  Address p = device.upload(std::vector<std::uint32_t>(8));
  Result r = device.run("k", {7, 11}, {16, 2}, Arguments(p));
  if (!r.ok()) failed("flow", 0, r.message);
  auto out = device.download<std::uint32_t>(p, 8);
  EQUAL(77u * 32, out[0]);
  EQUAL(76u, out[1]);
  EQUAL(1232.0f, *reinterpret_cast<float*>(&out[2]));
  EQUAL(77u * 96, out[4]);
  EQUAL(0x6800u, out[3]);  // halves stop growing where adding one is lost: 2048
  EQUAL(std::uint64_t{77}, r.counts.blocks);
  EQUAL(std::uint64_t{77 * 32}, r.counts.threads);
}

TEST(trafficIsCounted) {
  auto traffic = [](const std::string& body) {
    Device device(kernel(".param .u64 p", ".reg .b32 %r<8>, %t; .reg .b64 %d<8>; ld.param.u64 %d0, [p]; mov.u32 %t, %tid.x;\n" + body));
    Address p = device.upload(std::vector<int>(4096));
    Result r = device.run("k", {1}, {32}, Arguments(p));
    if (!r.ok()) failed("flow", 0, r.message);
    return r.counts;
  };
  Counts whole = traffic("mul.wide.u32 %d1, %t, 4; add.u64 %d1, %d0, %d1; ld.global.u32 %r0, [%d1];");
  EQUAL(std::uint64_t{4}, whole.load.sectors);
  EQUAL(std::uint64_t{128}, whole.load.bytes);
  Counts shifted = traffic("mul.wide.u32 %d1, %t, 4; add.u64 %d1, %d0, %d1; ld.global.u32 %r0, [%d1+4];");
  EQUAL(std::uint64_t{5}, shifted.load.sectors);
  EQUAL(std::uint64_t{4}, shifted.load.idealSectors);
  Counts strided = traffic("mul.wide.u32 %d1, %t, 32; add.u64 %d1, %d0, %d1; ld.global.u32 %r0, [%d1];");
  EQUAL(std::uint64_t{32}, strided.load.sectors);
  EQUAL(std::uint64_t{4}, strided.load.idealSectors);
  Counts twice = traffic("mul.wide.u32 %d1, %t, 4; add.u64 %d1, %d0, %d1; ld.global.u32 %r0, [%d1]; ld.global.u32 %r0, [%d1]; ld.global.u32 %r0, [%d1+64];");
  EQUAL(std::uint64_t{12}, twice.load.sectors);
  EQUAL(std::uint64_t{6}, twice.load.distinctSectors);
  Counts same = traffic("ld.global.u32 %r0, [%d0]; mul.wide.u32 %d1, %t, 16; add.u64 %d1, %d0, %d1; st.global.v4.u32 [%d1], {%r0, %r0, %r0, %r0};");
  EQUAL(std::uint64_t{1}, same.load.sectors);
  EQUAL(std::uint64_t{4}, same.load.bytes);
  EQUAL(std::uint64_t{16}, same.store.sectors);
}

TEST(bankConflictsAreCounted) {
  auto conflicts = [](unsigned stride, const std::string& store) {
    Device device(kernel("", ".shared .align 16 .b8 tile[8192]; .reg .b32 %r<8>, %t; .reg .b64 %d<2>; mov.u32 %t, %tid.x; mul.lo.u32 %r0, %t, " + std::to_string(stride) +
                                 "; mov.u32 %r1, tile; add.u32 %r0, %r0, %r1;\n" + store));
    Result r = device.run("k", {1}, {32}, Arguments());
    if (!r.ok()) failed("flow", 0, r.message);
    EQUAL(std::uint64_t{1}, r.counts.sharedAccesses);
    return r.counts.bankConflicts;
  };
  std::string word = "st.shared.u32 [%r0], %t;", four = "st.shared.v4.u32 [%r0], {%t, %t, %t, %t};", two = "st.shared.v2.u32 [%r0], {%t, %t};";
  EQUAL(std::uint64_t{0}, conflicts(4, word));
  EQUAL(std::uint64_t{1}, conflicts(8, word));
  EQUAL(std::uint64_t{31}, conflicts(128, word));
  EQUAL(std::uint64_t{0}, conflicts(132, word));
  EQUAL(std::uint64_t{0}, conflicts(16, four));
  EQUAL(std::uint64_t{28}, conflicts(128, four));
  EQUAL(std::uint64_t{0}, conflicts(8, two));
}

TEST(memoryKnowsItsRanges) {
  Memory memory(std::size_t{1} << 28);
  Address a = memory.allocate(1000), b = memory.allocate(1);
  CHECK(a % 512 == 0 && b % 512 == 0 && b - a >= 1024 + 512);
  CHECK(memory.find(a + 999)->base == a);
  CHECK(!memory.find(a + 1000));
  CHECK(!memory.copyIn(a + 990, "0123456789a", 11).empty());
  CHECK(memory.copyIn(a + 990, "0123456789", 10).empty());
  char read[1000];
  CHECK(memory.copyOut(read, a, 1000).empty());
  CHECK(read[989] == 0 && read[990] == '0');
  CHECK(memory.fill(a + 2, 7, 4, 1).find("not aligned") != std::string::npos);
  EQUAL(std::size_t{1001}, memory.used());
  EQUAL(Address{0}, memory.allocate(std::size_t{1} << 29));
  static int host[4];
  CHECK(memory.registerHost(host, sizeof host));
  CHECK(!memory.registerHost(host + 1, 4));
  CHECK(memory.find(reinterpret_cast<Address>(host + 3))->host);
  CHECK(memory.unregisterHost(host));
  CHECK(!memory.find(reinterpret_cast<Address>(host)));
  CHECK(memory.free(a) && !memory.free(a + 512) && memory.free(b));
  EQUAL(std::size_t{0}, memory.used());
  // more in turn than the arena has addresses
  for (int k = 0; k < 40; k++) {
    Address big = memory.allocate(std::size_t{1} << 27);
    CHECK(big != 0);
    CHECK(memory.free(big));
  }
}

/// Damaged text is refused with a message, never more.
TEST(damagedModulesAreRefused) {
  std::mt19937 random(73);
  std::string whole = MODULE;
  unsigned refused = 0;
  for (int k = 0; k < 3000; k++) {
    std::string text = whole;
    for (unsigned cuts = random() % 3 + 1; cuts > 0; cuts--) {
      std::size_t at = random() % text.size();
      switch (random() % 4) {
        case 0: text.resize(at + 1); break;
        case 1: text.erase(at, random() % 8); break;
        case 2: text[at] = "{}[]();,.%@!0x9-+\"/*"[random() % 20]; break;
        default: text.insert(at, text.substr(random() % text.size(), random() % 24)); break;
      }
    }
    try {
      Memory memory(std::size_t{1} << 24);
      Module module(memory, text);
    } catch (const PtxError&) {
      refused++;
    }
  }
  CHECK(refused > 1000);
}
}  // namespace
