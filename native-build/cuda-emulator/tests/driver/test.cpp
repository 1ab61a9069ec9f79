// SPDX-License-Identifier: Apache-2.0
// The rules of the driver API that programs get wrong: what waits for what, what a capture forbids, what a failure ends.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using Handle = void*;
using Address = std::uint64_t;

extern "C" {
int cuInit(unsigned);
int cuDeviceGetCount(int*);
int cuDeviceGetName(char*, int, int);
int cuDevicePrimaryCtxRetain(Handle*, int);
int cuDevicePrimaryCtxReset_v2(int);
int cuDevicePrimaryCtxRelease_v2(int);
int cuCtxCreate_v2(Handle*, unsigned, int);
int cuCtxDestroy_v2(Handle);
int cuCtxSetCurrent(Handle);
int cuCtxGetCurrent(Handle*);
int cuCtxPopCurrent_v2(Handle*);
int cuCtxSynchronize();
int cuMemGetInfo_v2(std::size_t*, std::size_t*);
int cuMemAlloc_v2(Address*, std::size_t);
int cuMemFree_v2(Address);
int cuMemAllocAsync(Address*, std::size_t, Handle);
int cuMemFreeAsync(Address, Handle);
int cuMemHostAlloc(void**, std::size_t, unsigned);
int cuMemFreeHost(void*);
int cuMemHostRegister_v2(void*, std::size_t, unsigned);
int cuMemHostUnregister(void*);
int cuMemHostGetDevicePointer_v2(Address*, void*, unsigned);
int cuMemcpyHtoD_v2(Address, const void*, std::size_t);
int cuMemcpyDtoH_v2(void*, Address, std::size_t);
int cuMemcpyHtoDAsync_v2(Address, const void*, std::size_t, Handle);
int cuMemcpyDtoHAsync_v2(void*, Address, std::size_t, Handle);
int cuMemcpyDtoDAsync_v2(Address, Address, std::size_t, Handle);
int cuMemcpy2D_v2(const void*);
int cuMemsetD8_v2(Address, unsigned char, std::size_t);
int cuMemsetD16_v2(Address, unsigned short, std::size_t);
int cuMemsetD32_v2(Address, unsigned, std::size_t);
int cuMemsetD32Async(Address, unsigned, std::size_t, Handle);
int cuMemsetD2D8_v2(Address, std::size_t, unsigned char, std::size_t, std::size_t);
int cuModuleLoadData(Handle*, const void*);
int cuModuleUnload(Handle);
int cuModuleGetFunction(Handle*, Handle, const char*);
int cuModuleGetGlobal_v2(Address*, std::size_t*, Handle, const char*);
int cuLaunchKernel(Handle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Handle, void**, void**);
int cuLaunchHostFunc(Handle, void (*)(void*), void*);
int cuStreamCreate(Handle*, unsigned);
int cuStreamDestroy_v2(Handle);
int cuStreamSynchronize(Handle);
int cuStreamQuery(Handle);
int cuStreamWaitEvent(Handle, Handle, unsigned);
int cuStreamBeginCapture_v2(Handle, int);
int cuStreamEndCapture(Handle, Handle*);
int cuStreamIsCapturing(Handle, int*);
int cuThreadExchangeStreamCaptureMode(int*);
int cuEventCreate(Handle*, unsigned);
int cuEventDestroy_v2(Handle);
int cuEventRecord(Handle, Handle);
int cuEventQuery(Handle);
int cuEventSynchronize(Handle);
int cuEventElapsedTime(float*, Handle, Handle);
int cuGraphGetNodes(Handle, Handle*, std::size_t*);
int cuGraphNodeGetType(Handle, int*);
int cuGraphInstantiateWithFlags(Handle*, Handle, unsigned long long);
int cuGraphLaunch(Handle, Handle);
int cuGraphDestroy(Handle);
int cuGraphExecDestroy(Handle);
int cuGetErrorName(int, const char**);
long lacunaEmulatorLastError(char*, std::size_t);
}

namespace {

bool deferred = false;

// x[i] += by, one thread an element; and a kernel that writes where nothing is
const char* const PTX = R"(
.version 7.0
.target sm_80
.address_size 64
.visible .global .align 4 .u32 answer = 42;
.visible .entry plus(.param .u64 x, .param .u32 by)
{
  .reg .b32 %r<4>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [x];
  ld.param.u32 %r1, [by];
  cvta.to.global.u64 %rd1, %rd1;
  mov.u32 %r2, %tid.x;
  mul.wide.u32 %rd2, %r2, 4;
  add.s64 %rd3, %rd1, %rd2;
  ld.global.u32 %r3, [%rd3];
  add.u32 %r3, %r3, %r1;
  st.global.u32 [%rd3], %r3;
  ret;
}
.visible .entry wild()
{
  .reg .b64 %rd<2>;
  mov.u64 %rd1, 64;
  st.global.u64 [%rd1], %rd1;
  ret;
}
)";

std::string lastError() {
  char text[2000];
  lacunaEmulatorLastError(text, sizeof text);
  return text;
}

void expect(int wanted, int result, const char* call, int line) {
  if (result == wanted) return;
  throw std::runtime_error("line " + std::to_string(line) + ": " + call + " answers " + std::to_string(result) + ", not " +
                           std::to_string(wanted) + "; last error: " + lastError());
}
#define OK(call) expect(0, call, #call, __LINE__)
#define REFUSED(error, call) expect(error, call, #call, __LINE__)
#define SAME(wanted, value) expect(static_cast<int>(wanted), static_cast<int>(value), #value, __LINE__)

/// A context with the module, 32 numbers on the device and 32 pinned, all zero.
struct World {
  Handle context = nullptr, module = nullptr, plus = nullptr;
  Address x = 0;
  std::uint32_t* pinned = nullptr;

  World() {
    OK(cuCtxCreate_v2(&context, 0, 0));
    OK(cuModuleLoadData(&module, PTX));
    OK(cuModuleGetFunction(&plus, module, "plus"));
    OK(cuMemAlloc_v2(&x, 128));
    OK(cuMemsetD8_v2(x, 0, 128));
    void* host = nullptr;
    OK(cuMemHostAlloc(&host, 128, 0));
    pinned = static_cast<std::uint32_t*>(host);
    std::memset(pinned, 0, 128);
  }
  ~World() { cuCtxDestroy_v2(context); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  int add(std::uint32_t by, Handle stream) const {
    Address at = x;
    void* parameters[] = {&at, &by};
    return cuLaunchKernel(plus, 1, 1, 1, 32, 1, 1, 0, stream, parameters, nullptr);
  }
  std::uint32_t value() const {
    std::uint32_t values[32];
    OK(cuMemcpyDtoH_v2(values, x, sizeof values));
    SAME(values[0], values[31]);
    return values[0];
  }
  static Handle stream(unsigned flags) {
    Handle made = nullptr;
    OK(cuStreamCreate(&made, flags));
    return made;
  }
  static Handle event() {
    Handle made = nullptr;
    OK(cuEventCreate(&made, 0));
    return made;
  }
};

void workWaitsForWhoWaitsForIt() {
  World w;
  Handle s = World::stream(1);
  OK(w.add(5, s));
  OK(cuMemcpyDtoHAsync_v2(w.pinned, w.x, 128, s));
  SAME(deferred ? 0 : 5, w.pinned[0]);
  SAME(deferred ? 600 : 0, cuStreamQuery(s));
  OK(cuStreamSynchronize(s));
  SAME(5, w.pinned[0]);
  OK(cuStreamQuery(s));
  // memory that is not pinned is there when the call returns, either way round
  std::uint32_t own[32], more[32];
  for (auto& v : more) v = 7;
  OK(cuMemcpyHtoDAsync_v2(w.x, more, 128, s));
  for (auto& v : more) v = 9;
  OK(w.add(1, s));
  OK(cuMemcpyDtoHAsync_v2(own, w.x, 128, s));
  SAME(8, own[31]);
  // pinned memory is read when its turn comes
  for (int i = 0; i < 32; ++i) w.pinned[i] = 100;
  OK(cuMemcpyHtoDAsync_v2(w.x, w.pinned, 128, s));
  for (int i = 0; i < 32; ++i) w.pinned[i] = 200;
  SAME(deferred ? 0 : 100, deferred ? 0 : w.value());
  OK(cuStreamSynchronize(s));
  SAME(deferred ? 200 : 100, w.value());
}

void theLegacyStreamWaitsForBlockingStreams() {
  World w;
  Handle blocking = World::stream(0), free = World::stream(1);
  OK(w.add(1, blocking));
  SAME(1, w.value());  // a copy without a stream
  OK(w.add(10, free));
  SAME(deferred ? 1 : 11, w.value());
  OK(cuCtxSynchronize());
  SAME(11, w.value());
  OK(w.add(100, nullptr));
  OK(w.add(1000, blocking));
  OK(cuStreamSynchronize(blocking));
  SAME(1111, w.value());
}

void eventsOrderStreams() {
  World w;
  Handle a = World::stream(1), b = World::stream(1), done = World::event(), end = World::event();
  OK(cuEventQuery(done));  // never recorded
  OK(w.add(3, a));
  OK(cuEventRecord(done, a));
  OK(w.add(100, a));
  OK(cuStreamWaitEvent(b, done, 0));
  OK(cuMemcpyDtoHAsync_v2(w.pinned, w.x, 128, b));
  OK(cuEventRecord(end, b));
  OK(cuEventSynchronize(end));
  SAME(deferred ? 3 : 103, w.pinned[0]);  // the 100 need not have been added
  OK(cuStreamSynchronize(a));
  OK(cuEventQuery(done));
  float milliseconds = -1;
  OK(cuEventElapsedTime(&milliseconds, done, end));
  if (!(milliseconds >= 0)) throw std::runtime_error("time runs backwards");
  Handle never = World::event();
  REFUSED(400, cuEventElapsedTime(&milliseconds, done, never));
  OK(cuEventDestroy_v2(done));
  REFUSED(400, cuEventDestroy_v2(done));
}

void hostFunctionsHaveTheirTurn() {
  World w;
  Handle s = World::stream(1);
  std::vector<int> calls;
  OK(cuLaunchHostFunc(s, [](void* to) { static_cast<std::vector<int>*>(to)->push_back(1); }, &calls));
  OK(cuLaunchHostFunc(s, [](void* to) { static_cast<std::vector<int>*>(to)->push_back(2); }, &calls));
  OK(cuStreamDestroy_v2(s));  // work goes on
  SAME(2, calls.size());
  SAME(1, calls[0]);
  REFUSED(400, cuStreamSynchronize(s));
}

Handle graphOf(Handle stream, const std::function<void()>& body, std::size_t nodes) {
  OK(cuStreamBeginCapture_v2(stream, 0));
  body();
  Handle graph = nullptr;
  OK(cuStreamEndCapture(stream, &graph));
  std::size_t count = 0;
  OK(cuGraphGetNodes(graph, nullptr, &count));
  SAME(nodes, count);
  return graph;
}

void aCaptureMayForkAndMustJoin() {
  World w;
  Handle s = World::stream(1), t = World::stream(1), forked = World::event(), joined = World::event();
  Handle graph = graphOf(s, [&] {
    OK(w.add(1, s));
    OK(cuEventRecord(forked, s));
    OK(cuStreamWaitEvent(t, forked, 0));
    int status = 0;
    OK(cuStreamIsCapturing(t, &status));
    SAME(1, status);
    OK(cuMemcpyDtoHAsync_v2(w.pinned, w.x, 128, t));
    REFUSED(907, cuEventQuery(forked));
    OK(cuEventRecord(joined, t));
    OK(cuStreamWaitEvent(s, joined, 0));
    OK(cuMemsetD32Async(w.x, 50, 32, s));
  }, 3);
  SAME(0, w.value());
  Handle nodes[3];
  std::size_t count = 3;
  OK(cuGraphGetNodes(graph, nodes, &count));
  int types[3];
  for (int i = 0; i < 3; ++i) OK(cuGraphNodeGetType(nodes[i], &types[i]));
  SAME(0, types[0]);
  SAME(1, types[1]);
  SAME(2, types[2]);
  Handle exec = nullptr;
  OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  for (std::uint32_t expected : {1u, 51u}) {
    OK(cuGraphLaunch(exec, t));
    OK(cuStreamSynchronize(t));
    SAME(expected, w.pinned[0]);
    SAME(50, w.value());
  }
  OK(cuGraphExecDestroy(exec));
  REFUSED(1, cuGraphLaunch(exec, t));

  OK(cuStreamBeginCapture_v2(s, 2));
  OK(cuEventRecord(forked, s));
  OK(cuStreamWaitEvent(t, forked, 0));
  OK(w.add(1, t));
  Handle none = &none;
  REFUSED(904, cuStreamEndCapture(s, &none));
  SAME(true, none == nullptr);
  OK(w.add(1, t));  // captured no more
  OK(cuStreamSynchronize(t));
  SAME(51, w.value());
}

void aCaptureForbidsWhatCouldWait() {
  World w;
  Handle s = World::stream(0), free = World::stream(1), graph = nullptr;
  Address more;
  auto invalidated = [&](Handle stream, int mode, int error, const std::function<int()>& call) {
    OK(cuStreamBeginCapture_v2(stream, mode));
    OK(w.add(1, stream));
    REFUSED(error, call());
    REFUSED(901, w.add(1, stream));
    REFUSED(901, cuStreamEndCapture(stream, &graph));
  };
  invalidated(s, 0, 900, [&] { return cuMemAlloc_v2(&more, 64); });
  invalidated(s, 1, 900, [&] { return cuStreamSynchronize(s); });
  invalidated(s, 2, 906, [&] { return cuMemcpyHtoD_v2(w.x, w.pinned, 128); });
  invalidated(free, 0, 900, [&] { return cuMemcpyHtoD_v2(w.x, w.pinned, 128); });
  invalidated(s, 2, 906, [&] { return w.add(1, nullptr); });
  invalidated(s, 0, 900, [&] { return cuStreamDestroy_v2(s); });
  Handle outside = World::event();
  OK(cuEventRecord(outside, free));
  invalidated(s, 0, 905, [&] { return cuStreamWaitEvent(s, outside, 0); });

  // relaxed captures, and threads that relax, may
  OK(cuStreamBeginCapture_v2(free, 2));
  OK(cuMemAlloc_v2(&more, 64));
  OK(cuStreamEndCapture(free, &graph));
  OK(cuStreamBeginCapture_v2(free, 0));
  int mode = 2;
  OK(cuThreadExchangeStreamCaptureMode(&mode));
  OK(cuMemFree_v2(more));
  OK(cuThreadExchangeStreamCaptureMode(&mode));
  int inOther = 0, ended = 0;
  std::thread([&] {
    cuCtxSetCurrent(w.context);
    inOther = cuMemAlloc_v2(&more, 64);
    ended = cuStreamEndCapture(free, &graph);
  }).join();
  SAME(900, inOther);
  SAME(908, ended);
  REFUSED(901, cuStreamEndCapture(free, &graph));
  REFUSED(900, cuStreamBeginCapture_v2(nullptr, 0));
  REFUSED(401, cuStreamEndCapture(free, &graph));
  SAME(0, w.value());
}

void aGraphOutlivesNothingThatItUses() {
  World w;
  Handle s = World::stream(1), exec = nullptr;
  Handle graph = graphOf(s, [&] { OK(w.add(1, s)); }, 1);
  OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  OK(cuModuleUnload(w.module));
  const int launched = cuGraphLaunch(exec, s);
  SAME(700, launched != 0 ? launched : cuStreamSynchronize(s));
  SAME(true, lastError().find("unloaded") != std::string::npos);
}

/// Text that was read before: modules share what was read, and nothing that one of them could change.
void modulesOfOneText() {
  World w;
  Handle other = nullptr;
  OK(cuModuleLoadData(&other, PTX));
  Address mine = 0, theirs = 0;
  OK(cuModuleGetGlobal_v2(&mine, nullptr, w.module, "answer"));
  OK(cuModuleGetGlobal_v2(&theirs, nullptr, other, "answer"));
  SAME(true, mine != theirs);

  std::string text = PTX;
  const std::size_t variable = text.find(".visible .global");
  text.erase(variable, text.find('\n', variable) - variable);
  std::string less = text;
  less.replace(less.find("add.u32"), 7, "sub.u32");
  Handle first = nullptr, second = nullptr, third = nullptr;
  OK(cuModuleLoadData(&first, text.c_str()));
  OK(cuModuleLoadData(&second, text.c_str()));
  OK(cuModuleLoadData(&third, less.c_str()));
  OK(cuModuleUnload(first));
  OK(cuModuleGetFunction(&w.plus, second, "plus"));
  OK(w.add(5, nullptr));
  SAME(5, w.value());
  OK(cuModuleGetFunction(&w.plus, third, "plus"));
  OK(w.add(2, nullptr));
  SAME(3, w.value());
}

void copiesAndFills() {
  World w;
  OK(cuMemsetD16_v2(w.x, 0x1234, 64));
  SAME(0x12341234, w.value());
  REFUSED(1, cuMemsetD32_v2(w.x + 2, 0, 1));
  REFUSED(1, cuMemsetD32_v2(w.x, 0, 33));
  OK(cuMemsetD8_v2(w.x, 0, 128));
  OK(cuMemsetD2D8_v2(w.x + 1, 16, 0xff, 2, 8));
  std::uint8_t bytes[128];
  OK(cuMemcpyDtoH_v2(bytes, w.x, 128));
  for (int i = 0; i < 128; ++i) SAME(i % 16 == 1 || i % 16 == 2 ? 0xff : 0, bytes[i]);
  // 3 rows of 4 bytes at (2, 1) of rows of 32, out of rows of 8
  struct {
    std::size_t srcX = 0, srcY = 0;
    int srcType = 1;
    const void* srcHost;
    Address srcDevice = 0;
    void* srcArray = nullptr;
    std::size_t srcPitch = 8, dstX = 2, dstY = 1;
    int dstType = 2;
    void* dstHost = nullptr;
    Address dstDevice;
    void* dstArray = nullptr;
    std::size_t dstPitch = 32, width = 4, height = 3;
  } copy;
  std::uint8_t rows[24];
  for (int i = 0; i < 24; ++i) rows[i] = static_cast<std::uint8_t>(100 + i);
  copy.srcHost = rows;
  copy.dstDevice = w.x;
  OK(cuMemsetD8_v2(w.x, 0, 128));
  OK(cuMemcpy2D_v2(&copy));
  OK(cuMemcpyDtoH_v2(bytes, w.x, 128));
  for (int y = 0; y < 4; ++y) {
    for (int x = 0; x < 32; ++x) SAME(y >= 1 && x >= 2 && x < 6 ? 100 + (y - 1) * 8 + x - 2 : 0, bytes[y * 32 + x]);
  }
  copy.height = 4;
  REFUSED(1, cuMemcpy2D_v2(&copy));
}

void memoryIsCounted() {
  World w;
  std::size_t before, after, total;
  OK(cuMemGetInfo_v2(&before, &total));
  Address a, b;
  REFUSED(2, cuMemAlloc_v2(&a, total));
  REFUSED(1, cuMemAlloc_v2(&a, 0));
  OK(cuMemAlloc_v2(&a, 1 << 20));
  Handle s = World::stream(1);
  OK(cuMemAllocAsync(&b, 1 << 20, s));
  OK(cuMemGetInfo_v2(&after, &total));
  SAME(true, before - after >= 2 << 20);
  OK(cuMemFree_v2(a));
  REFUSED(1, cuMemFree_v2(a));
  OK(cuMemsetD32Async(b, 1, 4, s));
  OK(cuMemFreeAsync(b, s));
  OK(cuStreamSynchronize(s));
  OK(cuMemGetInfo_v2(&after, &total));
  SAME(true, before == after);
  REFUSED(1, cuMemsetD32Async(b, 1, 4, s));

  std::vector<std::uint32_t> own(64);
  Address seen;
  REFUSED(1, cuMemHostGetDevicePointer_v2(&seen, own.data(), 0));
  OK(cuMemHostRegister_v2(own.data(), 256, 0));
  REFUSED(712, cuMemHostRegister_v2(own.data() + 1, 16, 0));
  OK(cuMemHostGetDevicePointer_v2(&seen, own.data(), 0));
  std::uint32_t by = 6;
  void* parameters[] = {&seen, &by};
  OK(cuLaunchKernel(w.plus, 1, 1, 1, 32, 1, 1, 0, nullptr, parameters, nullptr));
  OK(cuMemHostUnregister(own.data()));
  SAME(6, own[31]);
  REFUSED(713, cuMemHostUnregister(own.data()));
  REFUSED(1, cuMemFreeHost(own.data()));
  OK(cuMemFreeHost(w.pinned));
  REFUSED(1, cuMemFreeHost(w.pinned));

  Address answer;
  std::size_t bytes;
  std::uint32_t value;
  OK(cuModuleGetGlobal_v2(&answer, &bytes, w.module, "answer"));
  SAME(4, bytes);
  OK(cuMemcpyDtoH_v2(&value, answer, 4));
  SAME(42, value);
  REFUSED(500, cuModuleGetGlobal_v2(&answer, &bytes, w.module, "question"));
}

void launchesAreChecked() {
  World w;
  std::uint32_t by = 1;
  struct {
    Address x;
    std::uint32_t by = 2;
  } buffer{w.x};
  std::size_t size = 12;
  void* extra[] = {reinterpret_cast<void*>(1), &buffer, reinterpret_cast<void*>(2), &size, nullptr};
  OK(cuLaunchKernel(w.plus, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, extra));
  SAME(2, w.value());
  size = 8;
  REFUSED(1, cuLaunchKernel(w.plus, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, extra));
  REFUSED(1, cuLaunchKernel(w.plus, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, nullptr));
  void* parameters[] = {&w.x, &by};
  REFUSED(1, cuLaunchKernel(w.plus, 1, 1, 0, 32, 1, 1, 0, nullptr, parameters, nullptr));
  REFUSED(1, cuLaunchKernel(w.plus, 1, 1, 1, 1025, 1, 1, 0, nullptr, parameters, nullptr));
  REFUSED(1, cuLaunchKernel(w.plus, 1, 65536, 1, 32, 1, 1, 0, nullptr, parameters, nullptr));
  REFUSED(1, cuLaunchKernel(w.plus, 1, 1, 1, 32, 1, 1, 49153, nullptr, parameters, nullptr));
  REFUSED(400, cuLaunchKernel(w.plus, 1, 1, 1, 32, 1, 1, 0, &by, parameters, nullptr));
  REFUSED(400, cuLaunchKernel(&by, 1, 1, 1, 32, 1, 1, 0, nullptr, parameters, nullptr));
  SAME(2, w.value());
}

void aFailureEndsItsContext() {
  Handle context = nullptr, before = nullptr, module = nullptr, wild = nullptr;
  OK(cuCtxGetCurrent(&before));
  OK(cuDevicePrimaryCtxRetain(&context, 0));
  OK(cuCtxSetCurrent(context));
  OK(cuModuleLoadData(&module, PTX));
  OK(cuModuleGetFunction(&wild, module, "wild"));
  Handle s = World::stream(1);
  const int launched = cuLaunchKernel(wild, 1, 1, 1, 1, 1, 1, 0, s, nullptr, nullptr);
  SAME(700, launched != 0 ? launched : cuStreamSynchronize(s));
  SAME(true, lastError().find("wild") != std::string::npos);
  Address a;
  REFUSED(700, cuMemAlloc_v2(&a, 16));
  REFUSED(700, cuCtxSynchronize());
  OK(cuDevicePrimaryCtxReset_v2(0));
  OK(cuMemAlloc_v2(&a, 16));
  REFUSED(400, cuModuleUnload(module));
  OK(cuDevicePrimaryCtxRelease_v2(0));
  REFUSED(201, cuMemAlloc_v2(&a, 16));
  REFUSED(201, cuDevicePrimaryCtxRelease_v2(0));
  OK(cuCtxPopCurrent_v2(&context));
}

int failures = 0;

void test(const char* name, void (*body)()) {
  try {
    body();
    std::printf("ok   %s\n", name);
  } catch (const std::exception& e) {
    ++failures;
    std::printf("FAIL %s: %s\n", name, e.what());
  }
}
#define TEST(body) test(#body, body)

}  // namespace

int main() {
  const char* async = std::getenv("LACUNA_EMULATOR_ASYNC");
  deferred = async != nullptr && std::string(async) == "1";
  setenv("LACUNA_EMULATOR_MEMORY", "1000000000", 1);
  int count = 0;
  if (cuDeviceGetCount(&count) != 3 || cuInit(0) != 0) return 1;
  TEST(workWaitsForWhoWaitsForIt);
  TEST(theLegacyStreamWaitsForBlockingStreams);
  TEST(eventsOrderStreams);
  TEST(hostFunctionsHaveTheirTurn);
  TEST(aCaptureMayForkAndMustJoin);
  TEST(aCaptureForbidsWhatCouldWait);
  TEST(aGraphOutlivesNothingThatItUses);
  TEST(modulesOfOneText);
  TEST(copiesAndFills);
  TEST(memoryIsCounted);
  TEST(launchesAreChecked);
  TEST(aFailureEndsItsContext);
  return failures == 0 ? 0 : 1;
}
