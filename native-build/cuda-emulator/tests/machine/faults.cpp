// SPDX-License-Identifier: Apache-2.0
// Every planted error is caught and named; its mended twin runs.
#include "harness.h"

using namespace lacuna::emulator;
using namespace lacuna::emulator::test;

namespace {
const char* const HEAD = ".reg .pred %p<4>; .reg .b16 %h<4>; .reg .b32 %t, %r<8>; .reg .b64 %d<8>;\n.shared .align 16 .b8 tile[1024];\nmov.u32 %t, %tid.x; ld.param.u64 %d0, [p];\n";

struct Planted {
  const char* what;
  std::string body;
  unsigned threads;
  Fault fault;
  const char* named;  ///< part of the message; empty for none
};

void expect(const Planted& p, Options options = {}) {
  try {
    Device device(kernel(".param .u64 p", HEAD + p.body));
    Address a = device.memory.allocate(1024);
    device.memory.fill(a, 1, 4, 128);  // the second half stays unwritten
    Result r = device.run("k", {1}, {p.threads}, Arguments(a), 0, options);
    if (r.fault != p.fault || r.message.find(p.named) == std::string::npos) {
      failed("faults", 0, std::string(p.what) + ": expected fault " + std::to_string(static_cast<int>(p.fault)) + " with '" + p.named + "', got " + std::to_string(static_cast<int>(r.fault)) + " " + r.message);
    }
  } catch (const PtxError& e) {
    failed("faults", 0, std::string(p.what) + ": " + e.what());
  }
}

const std::string AT_LANE = "mul.wide.u32 %d1, %t, 4; add.u64 %d1, %d0, %d1;\n";
const std::string SHARED_AT = "mov.u32 %r0, tile; shl.b32 %r1, %t, 2; add.u32 %r0, %r0, %r1;\n";

TEST(globalBounds) {
  expect({"past the end", AT_LANE + "ld.global.u32 %r2, [%d1+512];\nst.global.u32 [%d1+900], %r2;", 32, Fault::UNINITIALISED, "nobody wrote"});
  expect({"store past the end", AT_LANE + "st.global.u32 [%d1+900], %t;", 32, Fault::ILLEGAL_ADDRESS, "PTX line 9 (st.global.u32), block (0,0,0), thread (31,0,0): store of 4 bytes at 0x"});
  expect({"says how far", AT_LANE + "st.global.u32 [%d1+1024], %t;", 1, Fault::ILLEGAL_ADDRESS, "0 bytes past the end of the allocation of 1024 bytes"});
  expect({"null", "mov.u64 %d1, 0; ld.global.u32 %r2, [%d1];", 1, Fault::ILLEGAL_ADDRESS, "at 0x0: in no allocation"});
  expect({"within", AT_LANE + "ld.global.u32 %r2, [%d1]; st.global.u32 [%d1+896], %r2;", 32, Fault::NONE, ""});
  expect({"misaligned", "ld.global.u32 %r2, [%d0+2];", 1, Fault::MISALIGNED, "not aligned to 4 bytes"});
  expect({"misaligned vector", "ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%d0+8];", 1, Fault::MISALIGNED, "not aligned to 16 bytes"});
}

TEST(freedMemory) {
  Device device(kernel(".param .u64 p", HEAD + AT_LANE + "ld.global.u32 %r2, [%d1];"));
  Address a = device.upload(std::vector<int>(32, 5));
  CHECK(device.run("k", {1}, {32}, Arguments(a)).ok());
  CHECK(device.memory.free(a));
  CHECK(!device.memory.free(a));
  Result r = device.run("k", {1}, {32}, Arguments(a));
  CHECK(r.fault == Fault::ILLEGAL_ADDRESS);
  CHECK(r.message.find("that was freed") != std::string::npos);
  CHECK(device.memory.copyOut(&a, a, 4).find("that was freed") != std::string::npos);
}

TEST(unwrittenMemory) {
  expect({"global", AT_LANE + "ld.global.u32 %r2, [%d1+448];", 32, Fault::UNINITIALISED, "thread (16,0,0)"});
  expect({"global, written first", AT_LANE + "st.global.u32 [%d1+448], %t; ld.global.u32 %r2, [%d1+448];", 32, Fault::NONE, ""});
  expect({"half a word", "st.global.u16 [%d0+512], %h0; ld.global.u32 %r2, [%d0+512];", 1, Fault::UNINITIALISED, "nobody wrote"});
  expect({"shared", SHARED_AT + "ld.shared.u32 %r2, [%r0];", 32, Fault::UNINITIALISED, "load of shared memory at 0x0, which nobody wrote"});
  Options lax;
  lax.initialised = false;
  expect({"unless told not to look", AT_LANE + "ld.global.u32 %r2, [%d1+448];", 32, Fault::NONE, ""}, lax);
}

TEST(sharedBounds) {
  expect({"outside", SHARED_AT + "st.shared.u32 [%r0+1000], %t;", 32, Fault::ILLEGAL_ADDRESS, "of shared memory, which has 1024 bytes"});
  expect({"through a generic address", "mov.u64 %d1, tile; cvta.shared.u64 %d1, %d1; st.u32 [%d1+1024], %t;", 1, Fault::ILLEGAL_ADDRESS, "of shared memory"});
}

/// Warp 1 reads what warp 0 wrote.
TEST(sharedRaces) {
  std::string write = SHARED_AT + "st.shared.u32 [%r0], %t;\n", readOther = "xor.b32 %r2, %r1, 128; mov.u32 %r3, tile; add.u32 %r3, %r3, %r2; ld.shared.u32 %r4, [%r3];\n";
  std::string writeOther = "xor.b32 %r2, %r1, 128; mov.u32 %r3, tile; add.u32 %r3, %r3, %r2; st.shared.u32 [%r3], %t;\n";
  // Warp 0 runs first: without a barrier it would read what nobody wrote yet, so all is written before.
  std::string filled = write + "bar.sync 0;\n";
  expect({"read after write", filled + write + readOther, 64, Fault::RACE, "races with the load by warp 1"});
  expect({"write after read", filled + readOther + write, 64, Fault::RACE, "load of shared memory at 0x80 races with the store by warp 1"});
  expect({"write after write", filled + write + writeOther, 64, Fault::RACE, "store of shared memory at 0x0 races with the store by warp 1"});
  expect({"barriers order", filled + write + "bar.sync 0;\n" + readOther + "bar.sync 0;\n" + write, 64, Fault::NONE, ""});
  expect({"within a warp lock-step orders", write + "xor.b32 %r2, %r1, 4; mov.u32 %r3, tile; add.u32 %r3, %r3, %r2; ld.shared.u32 %r4, [%r3];", 32, Fault::NONE, ""});
  expect({"atomics do not race with each other", "mov.u32 %r0, tile; setp.eq.u32 %p0, %t, 0; @%p0 st.shared.u32 [%r0], 0; bar.sync 0; red.shared.add.u32 [%r0], 1;", 64, Fault::NONE, ""});
  expect({"but with loads", "mov.u32 %r0, tile; setp.eq.u32 %p0, %t, 0; @%p0 st.shared.u32 [%r0], 0; bar.sync 0; red.shared.add.u32 [%r0], 1; ld.shared.u32 %r1, [%r0];", 64, Fault::RACE,
          "races with the"});
  // bytes of one word by two warps are no race
  expect({"bytes apart", "mov.u32 %r0, tile; shr.u32 %r1, %t, 5; add.u32 %r0, %r0, %r1; cvt.u16.u32 %h0, %t; and.b32 %r2, %t, 31; setp.eq.u32 %p0, %r2, 0; @%p0 st.shared.u8 [%r0], %h0;", 64, Fault::NONE, ""});
  // two warps of three meet at barrier 1; the third writes elsewhere
  std::string pair = "mov.u32 %r0, tile; shl.b32 %r1, %t, 2; add.u32 %r0, %r0, %r1; setp.ge.u32 %p0, %t, 64; st.shared.u32 [%r0], %t; @%p0 bra DONE;\n";
  expect({"a barrier of two warps orders these two", pair + "bar.sync 1, 64;\n" + readOther + "DONE: ret;", 96, Fault::NONE, ""});
  expect({"and no third", pair + "bar.sync 1, 64;\nld.shared.u32 %r4, [tile+256];\nDONE: ret;", 96, Fault::UNINITIALISED, ""});
  Options lax;
  lax.races = false;
  expect({"unless told not to look", filled + write + readOther, 64, Fault::NONE, ""}, lax);
}

TEST(globalRaces) {
  std::string other = "xor.b32 %r2, %t, 32; mul.wide.u32 %d2, %r2, 4; add.u64 %d2, %d0, %d2;\n";
  expect({"read after write", AT_LANE + other + "st.global.u32 [%d1], %t; ld.global.u32 %r3, [%d2];", 64, Fault::RACE, "races with the load by warp"});
  expect({"write after read", AT_LANE + other + "ld.global.u32 %r3, [%d2]; st.global.u32 [%d1], %t;", 64, Fault::RACE, "races with the load by warp"});
  expect({"write after write", AT_LANE + other + "st.global.u32 [%d1], %t; st.global.u32 [%d2], %t;", 64, Fault::RACE, "races with the store by warp"});
  expect({"barriers order", AT_LANE + other + "st.global.u32 [%d1], %t; bar.sync 0; ld.global.u32 %r3, [%d2];", 64, Fault::NONE, ""});
  expect({"atomics do not race", "red.global.add.u32 [%d0], 1;", 64, Fault::NONE, ""});
  expect({"many threads read one place", "ld.global.u32 %r3, [%d0]; ld.global.u32 %r3, [%d0+4]; " + AT_LANE + "st.global.u32 [%d1+512], %r3;", 64, Fault::NONE, ""});
}

TEST(divergentBarriers) {
  expect({"half a warp", "setp.lt.u32 %p0, %t, 16; @%p0 bra SKIP; bar.sync 0; SKIP: bar.sync 0;", 32, Fault::DIVERGENT_BARRIER, "only lanes 0x0000ffff arrive, lanes 0xffff0000 are elsewhere"});
  expect({"by predicate", "setp.lt.u32 %p0, %t, 16; @%p0 bar.sync 0;", 32, Fault::DIVERGENT_BARRIER, "skip by predicate"});
  expect({"in a loop of unequal length", "mov.u32 %r0, 0; LOOP: bar.sync 0; add.u32 %r0, %r0, 1; setp.le.u32 %p0, %r0, %t; @%p0 bra LOOP; bar.sync 0;", 32, Fault::DIVERGENT_BARRIER, "arrive"});
  expect({"two places", "setp.lt.u32 %p0, %t, 16; @%p0 bra A; bar.sync 0; bra END; A: bar.sync 0; END: ret;", 32, Fault::DIVERGENT_BARRIER, "wait at PTX line"});
  expect({"lanes that ended do not count", "setp.lt.u32 %p0, %t, 16; @%p0 ret; bar.sync 0;", 64, Fault::NONE, ""});
  expect({"a warp that ended does not count", "setp.lt.u32 %p0, %t, 32; @%p0 ret; bar.sync 0;", 64, Fault::NONE, ""});
  expect({"warps wait at different barriers", "setp.lt.u32 %p0, %t, 32; @%p0 bra A; bar.sync 1; bra END; A: bar.sync 2; END: ret;", 64, Fault::DIVERGENT_BARRIER, "no other warp can go on"});
  expect({"a shuffle that misses lanes", "setp.lt.u32 %p0, %t, 16; @%p0 bra A; shfl.sync.bfly.b32 %r0, %t, 1, 31, -1; A: bar.sync 0;", 32, Fault::DIVERGENT_BARRIER, ""});
  expect({"a shuffle among those present", "setp.lt.u32 %p0, %t, 16; @%p0 bra A; shfl.sync.bfly.b32 %r0, %t, 1, 31, 0xffff0000; A: ret;", 32, Fault::NONE, ""});
  expect({"lanes meet again before a barrier", "setp.lt.u32 %p0, %t, 7; @%p0 bra A; add.u32 %r0, %t, 1; bra B; A: add.u32 %r0, %t, 2; B: bar.sync 0; st.shared.u32 [tile], 1;", 32, Fault::NONE, ""});
}

TEST(asyncCopies) {
  std::string issue = "mov.u32 %r0, tile; shl.b32 %r1, %t, 4; add.u32 %r0, %r0, %r1; mul.wide.u32 %d1, %t, 16; add.u64 %d1, %d0, %d1; cp.async.cg.shared.global [%r0], [%d1], 16;\n";
  expect({"read before the wait", issue + "cp.async.commit_group; ld.shared.u32 %r2, [%r0];", 32, Fault::ASYNC_READ, "which a cp.async is still writing"});
  expect({"read after the wait", issue + "cp.async.commit_group; cp.async.wait_group 0; ld.shared.u32 %r2, [%r0];", 32, Fault::NONE, ""});
  expect({"wait_all needs no commit", issue + "cp.async.wait_all; ld.shared.u32 %r2, [%r0];", 32, Fault::NONE, ""});
  expect({"a wait that leaves this group open", issue + "cp.async.commit_group; cp.async.wait_group 1; ld.shared.u32 %r2, [%r0];", 32, Fault::ASYNC_READ, ""});
  expect({"an older group has landed", issue + "cp.async.commit_group; cp.async.ca.shared.global [%r0+512], [%d1], 16; cp.async.commit_group; cp.async.wait_group 1; ld.shared.u32 %r2, [%r0];", 32, Fault::NONE, ""});
  expect({"and the newer has not", issue + "cp.async.commit_group; cp.async.ca.shared.global [%r0+512], [%d1], 16; cp.async.commit_group; cp.async.wait_group 1; ld.shared.u32 %r2, [%r0+512];", 32, Fault::ASYNC_READ, ""});
  expect({"uncommitted copies do not land", issue + "cp.async.wait_group 0; ld.shared.u32 %r2, [%r0];", 32, Fault::ASYNC_READ, ""});
  expect({"other warps need a barrier", issue + "cp.async.wait_all; xor.b32 %r2, %r1, 512; mov.u32 %r3, tile; add.u32 %r3, %r3, %r2; ld.shared.u32 %r4, [%r3];", 64, Fault::UNINITIALISED, ""});
  std::string filled = "mov.u32 %r5, tile; shl.b32 %r6, %t, 2; add.u32 %r6, %r5, %r6; st.shared.u32 [%r6], %t; bar.sync 0;\n";
  std::string first = "setp.ge.u32 %p1, %t, 32; @%p1 bra READ; cp.async.ca.shared.global [%r6], [%d0], 4; cp.async.wait_all; READ: ";
  expect({"copy over what others still read", filled + "ld.shared.u32 %r7, [tile+4];\n" + first, 64, Fault::RACE, "cp.async write of shared memory at 0x4 races with the load by warp 1"});
  expect({"copy after a barrier", filled + "ld.shared.u32 %r7, [tile+4]; bar.sync 0;\n" + first, 64, Fault::NONE, ""});
  expect({"read while another warp's copy is on its way", filled + "setp.lt.u32 %p1, %t, 32; @%p1 bra READ; sub.u32 %r6, %r6, 128; cp.async.ca.shared.global [%r6], [%d0], 4; cp.async.commit_group; READ: ld.shared.u32 %r7, [tile+4];", 64,
          Fault::ASYNC_READ, "which a cp.async is still writing"});
}

TEST(shortCopiesFillWithZeros) {
  std::string body = std::string(HEAD) +
                     "cp.async.ca.shared.global [tile], [%d0], 16, 6; cp.async.wait_all; ld.shared.v4.u32 {%r0, %r1, %r2, %r3}, [tile];\n"
                     "st.global.v4.u32 [%d0+16], {%r0, %r1, %r2, %r3};\n"
                     "setp.eq.u32 %p0, %t, 0; cp.async.cg.shared.global [tile+32], [%d0], 16, %p0; cp.async.wait_all; ld.shared.u32 %r0, [tile+36]; st.global.u32 [%d0+32], %r0;";
  Device device(kernel(".param .u64 p", body));
  Address a = device.memory.allocate(64);
  device.memory.fill(a, 0xffffffff, 4, 2);  // only eight bytes are there: the rest of the source must not be read
  device.memory.fill(a + 8, 0xeeeeeeee, 4, 14);
  Result r = device.run("k", {1}, {1}, Arguments(a));
  CHECK(r.ok());
  auto out = device.download<std::uint32_t>(a, 16);
  EQUAL(0xffffffffu, out[4]);
  EQUAL(0x0000ffffu, out[5]);
  EQUAL(0u, out[6]);
  EQUAL(0u, out[7]);
  EQUAL(0u, out[8]);
}

TEST(programsThatCannotRun) {
  expect({"trap", "setp.eq.u32 %p0, %t, 5; @%p0 trap;", 32, Fault::TRAP, "thread (5,0,0): trap"});
  Options brief;
  brief.instructionLimit = 1 << 20;
  expect({"endless loop", "LOOP: bra LOOP;", 32, Fault::HANG, "without an end"}, brief);
  auto refused = [](const std::string& body, const char* message) {
    try {
      Device device(kernel(".param .u64 p", HEAD + body));
      failed("faults", 0, "accepted: " + body);
    } catch (const PtxError& e) {
      if (std::string(e.what()).find(message) == std::string::npos) failed("faults", 0, body + ": " + e.what());
    }
  };
  refused("frobnicate.u32 %r0, %r1;", "PTX line 8: unknown instruction 'frobnicate.u32'");
  refused("add.funny.u32 %r0, %r1, %r2;", "'.funny' is not supported here");
  refused("add.u64 %r0, %r1, %r2;", "another size");
  refused("bra NOWHERE;", "label 'NOWHERE' is not defined");
  refused("add.u32 %r0, %r1, %q;", "'%q' is neither a register nor a special register");
  refused("wgmma.fence.sync.aligned;", "unknown instruction 'wgmma");
  refused("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32 {%r0}, {%r0}, {%r0}, {%r0};", "not supported");
}

TEST(launchesAreChecked) {
  Device device(kernel(".param .u64 p", HEAD + std::string("ret;")));
  CHECK(device.run("k", {0}, {32}, Arguments(Address{0})).fault == Fault::INVALID_VALUE);
  CHECK(device.run("k", {1}, {1025}, Arguments(Address{0})).fault == Fault::INVALID_VALUE);
  CHECK(device.run("k", {1}, {32}, Arguments(Address{0}), 230 << 10).fault == Fault::INVALID_VALUE);
}
}  // namespace
