// SPDX-License-Identifier: Apache-2.0
// The device and its contexts.
#include <cstring>

#include "state.h"

using namespace lacuna::emulator;
using namespace lacuna::emulator::driver;

namespace {

Status onDevice(Device device, const std::function<Status(Driver&)>& body) {
  return withDriver([&](Driver& driver) -> Status {
    if (device != 0) return fail(INVALID_DEVICE, "device " + std::to_string(device) + ": there is one, 0");
    return body(driver);
  });
}

constexpr char UUID[17] = "lacuna emulator!";
constexpr char BUS[] = "0000:00:00.0";

/// A value of CUdevice_attribute; what it has no name for here is 0, "no".
int attribute(const Driver& driver, int id) {
  const Chip& chip = driver.chip;
  switch (id) {
    case 1: return static_cast<int>(Limits::maxThreadsPerBlock);
    case 2: case 3: return 1024;                // block x, y
    case 4: return 64;                          // block z
    case 5: return 2147483647;                  // grid x
    case 6: case 7: return 65535;               // grid y, z
    case 8: return static_cast<int>(Limits::sharedPerBlock);
    case 9: return 65536;                       // constant memory
    case 10: return static_cast<int>(Limits::warpSize);
    case 11: return 2147483647;                 // pitch
    case 12: case 82: return 65536;             // registers of a block, of a multiprocessor
    case 13: return chip.clockKilohertz;
    case 14: return 512;                        // texture alignment
    case 15: case 19: case 31: return 1;        // copies beside kernels, mapped host memory, concurrent kernels
    case 16: return chip.multiprocessors;
    case 30: return 512;                        // surface alignment
    case 36: return chip.memoryKilohertz;
    case 37: return chip.busBits;
    case 38: return chip.l2Bytes;
    case 39: return chip.threadsPerMultiprocessor;
    case 40: return 2;                          // copy engines
    case 41: return 1;                          // unified addressing
    case 51: return 32;                         // pitch alignment
    case 75: return chip.major;
    case 76: return chip.minor;
    case 78: case 79: case 80: return 1;        // stream priorities, L1 for global and local memory
    case 81: return static_cast<int>(chip.sharedPerMultiprocessor);
    case 87: return chip.minor == 0 ? 2 : 64;   // single to double rate
    case 90: case 91: return 1;                 // preemption, host pointer of registered memory
    case 97: return static_cast<int>(chip.sharedOptIn);
    case 99: return 1;                          // registering host memory
    case 106: return chip.blocksPerMultiprocessor;
    case 108: return chip.l2Bytes / 4 * 3;      // persisting L2
    case 109: return 134213632;                 // access policy window
    case 111: return 1024;                      // shared memory that each block costs besides its own
    case 115: return 1;                         // cuMemAllocAsync
    default: return 0;
  }
}

}  // namespace

DRIVER_API cuInit(unsigned flags) {
  if (flags != 0) return INVALID_VALUE;
  Driver& driver = Driver::get();
  std::lock_guard hold(driver.lock);
  driver.initialised = true;
  return SUCCESS;
}

DRIVER_API cuDriverGetVersion(int* version) {
  if (version == nullptr) return INVALID_VALUE;
  *version = Driver::get().version;
  return SUCCESS;
}

DRIVER_API cuDeviceGetCount(int* count) {
  return withDriver([&](Driver&) -> Status {
    if (count == nullptr) return INVALID_VALUE;
    *count = 1;
    return SUCCESS;
  });
}

DRIVER_API cuDeviceGet(Device* device, int ordinal) {
  return onDevice(ordinal, [&](Driver&) -> Status {
    if (device == nullptr) return INVALID_VALUE;
    *device = 0;
    return SUCCESS;
  });
}

DRIVER_API cuDeviceGetName(char* name, int bytes, Device device) {
  return onDevice(device, [&](Driver&) -> Status {
    if (name == nullptr || bytes <= 0) return INVALID_VALUE;
    std::snprintf(name, static_cast<std::size_t>(bytes), "Lacuna emulator");
    return SUCCESS;
  });
}

DRIVER_API cuDeviceGetUuid(Uuid* uuid, Device device) {
  return onDevice(device, [&](Driver&) -> Status {
    if (uuid == nullptr) return INVALID_VALUE;
    std::memcpy(uuid->bytes, UUID, sizeof uuid->bytes);
    return SUCCESS;
  });
}

DRIVER_API cuDeviceTotalMem_v2(std::size_t* bytes, Device device) {
  return onDevice(device, [&](Driver& driver) -> Status {
    if (bytes == nullptr) return INVALID_VALUE;
    *bytes = driver.memory.capacity();
    return SUCCESS;
  });
}

DRIVER_API cuDeviceGetAttribute(int* value, int id, Device device) {
  return onDevice(device, [&](Driver& driver) -> Status {
    if (value == nullptr || id < 1 || id > 255) return INVALID_VALUE;
    *value = attribute(driver, id);
    return SUCCESS;
  });
}

DRIVER_API cuDeviceComputeCapability(int* major, int* minor, Device device) {
  return onDevice(device, [&](Driver& driver) -> Status {
    if (major == nullptr || minor == nullptr) return INVALID_VALUE;
    *major = driver.chip.major;
    *minor = driver.chip.minor;
    return SUCCESS;
  });
}

DRIVER_API cuDeviceGetProperties(Properties* properties, Device device) {
  return onDevice(device, [&](Driver& driver) -> Status {
    if (properties == nullptr) return INVALID_VALUE;
    *properties = {attribute(driver, 1), {attribute(driver, 2), attribute(driver, 3), attribute(driver, 4)},
                   {attribute(driver, 5), attribute(driver, 6), attribute(driver, 7)}, attribute(driver, 8), attribute(driver, 9),
                   attribute(driver, 10), attribute(driver, 11), attribute(driver, 12), attribute(driver, 13), attribute(driver, 14)};
    return SUCCESS;
  });
}

DRIVER_API cuDeviceGetPCIBusId(char* bus, int bytes, Device device) {
  return onDevice(device, [&](Driver&) -> Status {
    if (bus == nullptr || bytes < static_cast<int>(sizeof BUS)) return INVALID_VALUE;
    std::memcpy(bus, BUS, sizeof BUS);
    return SUCCESS;
  });
}

DRIVER_API cuDeviceGetByPCIBusId(Device* device, const char* bus) {
  return withDriver([&](Driver&) -> Status {
    if (device == nullptr || bus == nullptr) return INVALID_VALUE;
    if (std::strcmp(bus, BUS) != 0) return INVALID_DEVICE;
    *device = 0;
    return SUCCESS;
  });
}

DRIVER_API cuDeviceCanAccessPeer(int* can, Device device, Device peer) {
  return onDevice(device, [&](Driver&) -> Status {
    if (can == nullptr || peer != 0) return INVALID_VALUE;
    *can = 0;
    return SUCCESS;
  });
}

// ---- the primary context

DRIVER_API cuDevicePrimaryCtxRetain(Context** context, Device device) {
  return onDevice(device, [&](Driver& driver) -> Status {
    if (context == nullptr) return INVALID_VALUE;
    if (driver.primary == nullptr) {
      driver.primary = driver.createContext(driver.primaryFlags);
      driver.primary->primary = true;
    }
    ++driver.primaryUsers;
    *context = driver.primary.get();
    return SUCCESS;
  });
}

DRIVER_API cuDevicePrimaryCtxRelease_v2(Device device) {
  return onDevice(device, [&](Driver& driver) -> Status {
    if (driver.primaryUsers == 0) return fail(INVALID_CONTEXT, "the primary context is released more often than retained");
    if (--driver.primaryUsers > 0) return SUCCESS;
    drainContext(driver, *driver.primary);
    driver.destroyContext(driver.primary);
    driver.primary = nullptr;
    return SUCCESS;
  });
}

/// As on a device the handle stays valid for who has retained it: what the context held is gone, and so is its failure.
DRIVER_API cuDevicePrimaryCtxReset_v2(Device device) {
  return onDevice(device, [&](Driver& driver) -> Status {
    if (driver.primary == nullptr) return SUCCESS;
    driver.destroyContext(driver.primary);
    driver.contexts[driver.primary.get()] = driver.primary;
    driver.primary->failure = SUCCESS;
    driver.primary->legacy->queue.clear();
    return SUCCESS;
  });
}

DRIVER_API cuDevicePrimaryCtxSetFlags_v2(Device device, unsigned flags) {
  return onDevice(device, [&](Driver& driver) -> Status {
    driver.primaryFlags = flags;
    if (driver.primary != nullptr) driver.primary->flags = flags;
    return SUCCESS;
  });
}

DRIVER_API cuDevicePrimaryCtxGetState(Device device, unsigned* flags, int* active) {
  return onDevice(device, [&](Driver& driver) -> Status {
    if (flags == nullptr || active == nullptr) return INVALID_VALUE;
    *flags = driver.primaryFlags;
    *active = driver.primary != nullptr;
    return SUCCESS;
  });
}

// ---- contexts

DRIVER_API cuCtxCreate_v2(Context** context, unsigned flags, Device device) {
  return onDevice(device, [&](Driver& driver) -> Status {
    if (context == nullptr) return INVALID_VALUE;
    auto created = driver.createContext(flags);
    contextStack().push_back(created);
    *context = created.get();
    return SUCCESS;
  });
}

DRIVER_API cuCtxDestroy_v2(Context* context) {
  return withDriver([&](Driver& driver) -> Status {
    auto found = driver.contexts.find(context);
    if (found == driver.contexts.end()) return fail(INVALID_CONTEXT, "cuCtxDestroy of what is no context");
    const std::shared_ptr<Context> ended = found->second;
    if (ended->primary) return fail(INVALID_CONTEXT, "cuCtxDestroy of the primary context, which is released");
    drainContext(driver, *ended);
    driver.destroyContext(ended);
    auto& stack = contextStack();
    if (!stack.empty() && stack.back() == ended) stack.pop_back();
    return SUCCESS;
  });
}

DRIVER_API cuCtxPushCurrent_v2(Context* context) {
  return withDriver([&](Driver& driver) -> Status {
    auto found = driver.contexts.find(context);
    if (found == driver.contexts.end()) return fail(INVALID_CONTEXT, "cuCtxPushCurrent of what is no context");
    contextStack().push_back(found->second);
    return SUCCESS;
  });
}

DRIVER_API cuCtxPopCurrent_v2(Context** context) {
  return withDriver([&](Driver&) -> Status {
    auto& stack = contextStack();
    if (stack.empty()) return fail(INVALID_CONTEXT, "cuCtxPopCurrent of an empty stack");
    if (context != nullptr) *context = stack.back().get();
    stack.pop_back();
    return SUCCESS;
  });
}

DRIVER_API cuCtxSetCurrent(Context* context) {
  return withDriver([&](Driver& driver) -> Status {
    auto& stack = contextStack();
    if (context == nullptr) {
      if (!stack.empty()) stack.pop_back();
      return SUCCESS;
    }
    auto found = driver.contexts.find(context);
    if (found == driver.contexts.end()) return fail(INVALID_CONTEXT, "cuCtxSetCurrent of what is no context");
    if (stack.empty()) {
      stack.push_back(found->second);
    } else {
      stack.back() = found->second;
    }
    return SUCCESS;
  });
}

DRIVER_API cuCtxGetCurrent(Context** context) {
  return withDriver([&](Driver&) -> Status {
    if (context == nullptr) return INVALID_VALUE;
    *context = contextStack().empty() ? nullptr : contextStack().back().get();
    return SUCCESS;
  });
}

DRIVER_API cuCtxGetDevice(Device* device) {
  return inContext([&](Driver&, Context&) -> Status {
    if (device == nullptr) return INVALID_VALUE;
    *device = 0;
    return SUCCESS;
  });
}

DRIVER_API cuCtxGetFlags(unsigned* flags) {
  return inContext([&](Driver&, Context& context) -> Status {
    if (flags == nullptr) return INVALID_VALUE;
    *flags = context.flags;
    return SUCCESS;
  });
}

DRIVER_API cuCtxGetId(Context* context, unsigned long long* id) {
  return inContext([&](Driver& driver, Context& current) -> Status {
    if (id == nullptr) return INVALID_VALUE;
    if (context != nullptr && !driver.contexts.contains(context)) return INVALID_CONTEXT;
    *id = context == nullptr ? current.id : context->id;
    return SUCCESS;
  });
}

DRIVER_API cuCtxGetApiVersion(Context* context, unsigned* version) {
  return withDriver([&](Driver& driver) -> Status {
    if (version == nullptr) return INVALID_VALUE;
    if (context != nullptr && !driver.contexts.contains(context)) return INVALID_CONTEXT;
    *version = 3020;
    return SUCCESS;
  });
}

DRIVER_API cuCtxSynchronize() {
  return inContext([&](Driver& driver, Context& context) -> Status {
    if (Status refused = refuseWhileCapturing(driver, "cuCtxSynchronize"); refused != SUCCESS) return refused;
    return drainContext(driver, context);
  });
}

DRIVER_API cuCtxSetLimit(int limit, std::size_t value) {
  return inContext([&](Driver&, Context& context) -> Status {
    if (limit < 0 || limit > 6) return UNSUPPORTED_LIMIT;
    context.limits[limit] = value;
    return SUCCESS;
  });
}

DRIVER_API cuCtxGetLimit(std::size_t* value, int limit) {
  return inContext([&](Driver&, Context& context) -> Status {
    if (value == nullptr) return INVALID_VALUE;
    if (limit < 0 || limit > 6) return UNSUPPORTED_LIMIT;
    *value = context.limits[limit];
    return SUCCESS;
  });
}

DRIVER_API cuCtxGetCacheConfig(int* config) {
  return inContext([&](Driver&, Context& context) -> Status {
    if (config == nullptr) return INVALID_VALUE;
    *config = context.cacheConfig;
    return SUCCESS;
  });
}

DRIVER_API cuCtxSetCacheConfig(int config) {
  return inContext([&](Driver&, Context& context) -> Status {
    if (config < 0 || config > 3) return INVALID_VALUE;
    context.cacheConfig = config;
    return SUCCESS;
  });
}

DRIVER_API cuCtxGetSharedMemConfig(int* config) {
  return inContext([&](Driver&, Context& context) -> Status {
    if (config == nullptr) return INVALID_VALUE;
    *config = context.sharedConfig;
    return SUCCESS;
  });
}

DRIVER_API cuCtxSetSharedMemConfig(int config) {
  return inContext([&](Driver&, Context& context) -> Status {
    if (config < 0 || config > 2) return INVALID_VALUE;
    context.sharedConfig = config;
    return SUCCESS;
  });
}

DRIVER_API cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  return inContext([&](Driver&, Context&) -> Status {
    if (least != nullptr) *least = 0;
    if (greatest != nullptr) *greatest = -5;
    return SUCCESS;
  });
}

// ---- profilers have nothing to do here: every launch is counted

DRIVER_API cuProfilerInitialize(const char*, const char*, int) { return SUCCESS; }
DRIVER_API cuProfilerStart() { return SUCCESS; }
DRIVER_API cuProfilerStop() { return SUCCESS; }
