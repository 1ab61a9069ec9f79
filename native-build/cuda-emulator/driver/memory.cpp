// SPDX-License-Identifier: Apache-2.0
// Device and host memory, copies and fills.
#include <cstdlib>
#include <cstring>
#include <limits>

#include "state.h"

using namespace lacuna::emulator;
using namespace lacuna::emulator::driver;

namespace {

std::string hex(Address address) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(address));
  return text;
}

Address addressOf(const void* host) { return reinterpret_cast<Address>(host); }

/// Success when the bytes lie in one allocation.
Status within(Driver& driver, const char* call, Address at, std::size_t bytes) {
  const std::optional<Range> range = driver.memory.find(at);
  if (!range) return fail(INVALID_VALUE, std::string(call) + ": " + hex(at) + " is in no allocation");
  const std::size_t left = range->bytes - static_cast<std::size_t>(at - range->base);
  if (bytes <= left) return SUCCESS;
  return fail(INVALID_VALUE, std::string(call) + ": " + std::to_string(bytes) + " bytes at " + hex(at) + ", of which the allocation at " +
                                 hex(range->base) + " (" + std::to_string(range->bytes) + " bytes) has " + std::to_string(left));
}

/// What a memory operation says, once its ranges were right when it was submitted: they are gone by now.
Status late(const char* call, const std::string& wrong) {
  return wrong.empty() ? SUCCESS : fail(ILLEGAL_ADDRESS, std::string(call) + ": " + wrong);
}

enum Direction { IN, OUT, BETWEEN };

/// One copy of rows; a plain copy has one row. A null stream pointer is the legacy stream as the calls without a stream use it.
struct Copy {
  const char* call;
  Direction direction;
  Address to, from;
  std::size_t width, rows = 1, toPitch = 0, fromPitch = 0;

  Status run(Driver& driver, const std::vector<std::uint8_t>* staged) const {
    for (std::size_t row = 0; row < rows; ++row) {
      const Address target = to + row * toPitch;
      Address source = from + row * fromPitch;
      if (staged != nullptr) source = addressOf(staged->data() + row * width);
      std::string wrong;
      switch (direction) {
        case IN: wrong = driver.memory.copyIn(target, reinterpret_cast<const void*>(source), width); break;
        case OUT: wrong = driver.memory.copyOut(reinterpret_cast<void*>(target), source, width); break;
        case BETWEEN: wrong = driver.memory.copy(target, source, width); break;
      }
      if (Status result = late(call, wrong); result != SUCCESS) return result;
    }
    return SUCCESS;
  }

  Status check(Driver& driver) const {
    const std::size_t toBytes = (rows - 1) * toPitch + width, fromBytes = (rows - 1) * fromPitch + width;
    if (direction != OUT) {
      if (Status result = within(driver, call, to, toBytes); result != SUCCESS) return result;
    }
    if (direction != IN) {
      if (Status result = within(driver, call, from, fromBytes); result != SUCCESS) return result;
    }
    return SUCCESS;
  }
};

Status copyNow(const Copy& copy) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    if (copy.width == 0 || copy.rows == 0) return SUCCESS;
    if (Status result = copy.check(driver); result != SUCCESS) return result;
    return runNow(driver, context, [&]() -> Status { return copy.run(driver, nullptr); });
  });
}

Status copyIn(const Copy& copy, Stream* handle) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    const std::shared_ptr<Stream> stream = streamOf(driver, context, handle);
    if (stream == nullptr) return fail(INVALID_HANDLE, std::string(copy.call) + ": no such stream in the current context");
    if (copy.width == 0 || copy.rows == 0) return SUCCESS;
    if (Status result = copy.check(driver); result != SUCCESS) return result;
    if (stream->capture == nullptr && driver.deferred && copy.direction == IN && !driver.memory.find(copy.from)) {
      // host memory that is not pinned is read before the call returns
      auto staged = std::make_shared<std::vector<std::uint8_t>>(copy.width * copy.rows);
      for (std::size_t row = 0; row < copy.rows; ++row) {
        std::memcpy(staged->data() + row * copy.width, reinterpret_cast<const void*>(copy.from + row * copy.fromPitch), copy.width);
      }
      return submit(driver, stream, MEMCPY_NODE, [&driver, copy, staged]() -> Status { return copy.run(driver, staged.get()); });
    }
    const bool unpinned = copy.direction == OUT && !driver.memory.find(copy.to);
    Status result = submit(driver, stream, MEMCPY_NODE, [&driver, copy]() -> Status { return copy.run(driver, nullptr); });
    // and host memory that is not pinned is written before it returns
    if (result == SUCCESS && unpinned && stream->capture == nullptr) result = drain(driver, stream);
    return result;
  });
}

struct Fill {
  const char* call;
  Address to;
  std::uint32_t value;
  unsigned element;
  std::size_t width, rows = 1, pitch = 0;

  Status check(Driver& driver) const {
    if (to % element != 0 || pitch % element != 0) {
      return fail(INVALID_VALUE, std::string(call) + ": " + hex(to) + " is not aligned to " + std::to_string(element) + " bytes");
    }
    if (width > std::numeric_limits<std::size_t>::max() / element) return INVALID_VALUE;
    return within(driver, call, to, (rows - 1) * pitch + width * element);
  }
  Status run(Driver& driver) const {
    for (std::size_t row = 0; row < rows; ++row) {
      if (Status result = late(call, driver.memory.fill(to + row * pitch, value, element, width)); result != SUCCESS) return result;
    }
    return SUCCESS;
  }
};

Status fillNow(const Fill& fill) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    if (fill.width == 0 || fill.rows == 0) return SUCCESS;
    if (Status result = fill.check(driver); result != SUCCESS) return result;
    return runNow(driver, context, [&]() -> Status { return fill.run(driver); });
  });
}

Status fillIn(const Fill& fill, Stream* handle) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    const std::shared_ptr<Stream> stream = streamOf(driver, context, handle);
    if (stream == nullptr) return fail(INVALID_HANDLE, std::string(fill.call) + ": no such stream in the current context");
    if (fill.width == 0 || fill.rows == 0) return SUCCESS;
    if (Status result = fill.check(driver); result != SUCCESS) return result;
    return submit(driver, stream, MEMSET_NODE, [&driver, fill]() -> Status { return fill.run(driver); });
  });
}

Status allocate(Driver& driver, Context& context, DevicePointer* pointer, std::size_t bytes) {
  if (pointer == nullptr || bytes == 0) return INVALID_VALUE;
  const Address address = driver.memory.allocate(bytes);
  if (address == 0) return OUT_OF_MEMORY;
  driver.blocks[address] = {&context, bytes, Block::ON_DEVICE, 0};
  *pointer = address;
  return SUCCESS;
}

Status release(Driver& driver, Address address) {
  if (!driver.memory.free(address)) return ILLEGAL_ADDRESS;
  driver.blocks.erase(address);
  return SUCCESS;
}

/// The live device allocation that begins at the address, or an error that says what is there.
Status deviceBlock(Driver& driver, const char* call, Address address) {
  auto found = driver.blocks.find(address);
  if (found != driver.blocks.end() && found->second.kind == Block::ON_DEVICE) return SUCCESS;
  return fail(INVALID_VALUE, std::string(call) + ": no allocation begins at " + hex(address) + "; was it freed before?");
}

}  // namespace

// ---- device memory

DRIVER_API cuMemGetInfo_v2(std::size_t* freeBytes, std::size_t* total) {
  return inContext([&](Driver& driver, Context&) -> Status {
    if (freeBytes == nullptr || total == nullptr) return INVALID_VALUE;
    *total = driver.memory.capacity();
    *freeBytes = *total - driver.memory.used();
    return SUCCESS;
  });
}

DRIVER_API cuMemAlloc_v2(DevicePointer* pointer, std::size_t bytes) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    if (Status result = refuseWhileCapturing(driver, "cuMemAlloc"); result != SUCCESS) return result;
    return allocate(driver, context, pointer, bytes);
  });
}

DRIVER_API cuMemAllocPitch_v2(DevicePointer* pointer, std::size_t* pitch, std::size_t width, std::size_t height, unsigned element) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    if (pitch == nullptr || width == 0 || height == 0 || (element != 4 && element != 8 && element != 16)) return INVALID_VALUE;
    if (Status result = refuseWhileCapturing(driver, "cuMemAllocPitch"); result != SUCCESS) return result;
    const std::size_t row = (width + 511) / 512 * 512;
    if (row < width || height > std::numeric_limits<std::size_t>::max() / row) return OUT_OF_MEMORY;
    *pitch = row;
    return allocate(driver, context, pointer, row * height);
  });
}

DRIVER_API cuMemFree_v2(DevicePointer pointer) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    if (pointer == 0) return SUCCESS;
    if (Status result = refuseWhileCapturing(driver, "cuMemFree"); result != SUCCESS) return result;
    if (Status result = deviceBlock(driver, "cuMemFree", pointer); result != SUCCESS) return result;
    // memory is given back once the device has nothing left to do
    if (Status result = drainContext(driver, context); result != SUCCESS) return result;
    return release(driver, pointer);
  });
}

DRIVER_API cuMemAllocAsync(DevicePointer* pointer, std::size_t bytes, Stream* handle) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    const std::shared_ptr<Stream> stream = streamOf(driver, context, handle);
    if (stream == nullptr) return fail(INVALID_HANDLE, "cuMemAllocAsync: no such stream in the current context");
    if (stream->capture != nullptr) return fail(NOT_SUPPORTED, "cuMemAllocAsync in a capture is not supported by the emulator");
    return allocate(driver, context, pointer, bytes);
  });
}

DRIVER_API cuMemFreeAsync(DevicePointer pointer, Stream* handle) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    const std::shared_ptr<Stream> stream = streamOf(driver, context, handle);
    if (stream == nullptr) return fail(INVALID_HANDLE, "cuMemFreeAsync: no such stream in the current context");
    if (stream->capture != nullptr) return fail(NOT_SUPPORTED, "cuMemFreeAsync in a capture is not supported by the emulator");
    if (Status result = deviceBlock(driver, "cuMemFreeAsync", pointer); result != SUCCESS) return result;
    return submit(driver, stream, MEMSET_NODE, [&driver, pointer]() -> Status { return release(driver, pointer); });
  });
}

DRIVER_API cuMemGetAddressRange_v2(DevicePointer* base, std::size_t* bytes, DevicePointer pointer) {
  return inContext([&](Driver& driver, Context&) -> Status {
    const std::optional<Range> range = driver.memory.find(pointer);
    if (!range) return NOT_FOUND;
    if (base != nullptr) *base = range->base;
    if (bytes != nullptr) *bytes = range->bytes;
    return SUCCESS;
  });
}

DRIVER_API cuPointerGetAttribute(void* value, int attribute, DevicePointer pointer) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    if (value == nullptr) return INVALID_VALUE;
    const std::optional<Range> range = driver.memory.find(pointer);
    if (!range) return INVALID_VALUE;
    switch (attribute) {
      case 1: *static_cast<Context**>(value) = &context; return SUCCESS;
      case 2: *static_cast<unsigned*>(value) = range->host ? HOST : DEVICE; return SUCCESS;
      case 3: *static_cast<DevicePointer*>(value) = pointer; return SUCCESS;
      case 4:
        if (!range->host) return INVALID_VALUE;
        *static_cast<DevicePointer*>(value) = pointer;
        return SUCCESS;
      case 8: *static_cast<bool*>(value) = false; return SUCCESS;
      case 9: *static_cast<int*>(value) = 0; return SUCCESS;
      case 11: *static_cast<DevicePointer*>(value) = range->base; return SUCCESS;
      case 12: *static_cast<std::size_t*>(value) = range->bytes; return SUCCESS;
      default: return fail(NOT_SUPPORTED, "cuPointerGetAttribute " + std::to_string(attribute) + " is not supported by the emulator");
    }
  });
}

// ---- host memory

DRIVER_API cuMemHostAlloc(void** pointer, std::size_t bytes, unsigned flags) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    if (pointer == nullptr || bytes == 0 || flags > 7) return INVALID_VALUE;
    if (Status result = refuseWhileCapturing(driver, "cuMemHostAlloc"); result != SUCCESS) return result;
    void* host = nullptr;
    if (posix_memalign(&host, 4096, bytes) != 0) return OUT_OF_MEMORY;
    if (!driver.memory.registerHost(host, bytes)) {
      std::free(host);
      return fail(UNKNOWN, "fresh host memory overlaps with registered memory; was registered memory given back before it was unregistered?");
    }
    driver.blocks[addressOf(host)] = {&context, bytes, Block::ON_HOST, flags};
    *pointer = host;
    return SUCCESS;
  });
}

DRIVER_API cuMemAllocHost_v2(void** pointer, std::size_t bytes) { return cuMemHostAlloc(pointer, bytes, 0); }

DRIVER_API cuMemFreeHost(void* pointer) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    if (pointer == nullptr) return SUCCESS;
    if (Status result = refuseWhileCapturing(driver, "cuMemFreeHost"); result != SUCCESS) return result;
    auto found = driver.blocks.find(addressOf(pointer));
    if (found == driver.blocks.end() || found->second.kind != Block::ON_HOST) {
      return fail(INVALID_VALUE, "cuMemFreeHost: no pinned memory begins at " + hex(addressOf(pointer)));
    }
    if (Status result = drainContext(driver, context); result != SUCCESS) return result;
    driver.memory.unregisterHost(pointer);
    driver.blocks.erase(found);
    std::free(pointer);
    return SUCCESS;
  });
}

DRIVER_API cuMemHostRegister_v2(void* pointer, std::size_t bytes, unsigned flags) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    if (pointer == nullptr || bytes == 0 || flags > 15) return INVALID_VALUE;
    if (!driver.memory.registerHost(pointer, bytes)) {
      return fail(HOST_MEMORY_ALREADY_REGISTERED, "cuMemHostRegister: " + hex(addressOf(pointer)) + " overlaps with registered memory");
    }
    driver.blocks[addressOf(pointer)] = {&context, bytes, Block::REGISTERED, flags};
    return SUCCESS;
  });
}

DRIVER_API cuMemHostUnregister(void* pointer) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    auto found = driver.blocks.find(addressOf(pointer));
    if (found == driver.blocks.end() || found->second.kind != Block::REGISTERED) {
      return fail(HOST_MEMORY_NOT_REGISTERED, "cuMemHostUnregister: no registered memory begins at " + hex(addressOf(pointer)));
    }
    if (Status result = drainContext(driver, context); result != SUCCESS) return result;
    driver.memory.unregisterHost(pointer);
    driver.blocks.erase(found);
    return SUCCESS;
  });
}

DRIVER_API cuMemHostGetDevicePointer_v2(DevicePointer* pointer, void* host, unsigned flags) {
  return inContext([&](Driver& driver, Context&) -> Status {
    if (pointer == nullptr || flags != 0) return INVALID_VALUE;
    const std::optional<Range> range = driver.memory.find(addressOf(host));
    if (!range || !range->host) return fail(INVALID_VALUE, "cuMemHostGetDevicePointer: " + hex(addressOf(host)) + " is not pinned");
    *pointer = addressOf(host);
    return SUCCESS;
  });
}

DRIVER_API cuMemHostGetFlags(unsigned* flags, void* host) {
  return inContext([&](Driver& driver, Context&) -> Status {
    auto found = driver.blocks.find(addressOf(host));
    if (flags == nullptr || found == driver.blocks.end() || found->second.kind == Block::ON_DEVICE) return INVALID_VALUE;
    *flags = found->second.flags;
    return SUCCESS;
  });
}

// ---- copies

DRIVER_API cuMemcpyHtoD_v2(DevicePointer to, const void* from, std::size_t bytes) {
  return copyNow({"cuMemcpyHtoD", IN, to, addressOf(from), bytes});
}

DRIVER_API cuMemcpyDtoH_v2(void* to, DevicePointer from, std::size_t bytes) {
  return copyNow({"cuMemcpyDtoH", OUT, addressOf(to), from, bytes});
}

DRIVER_API cuMemcpyDtoD_v2(DevicePointer to, DevicePointer from, std::size_t bytes) {
  return copyNow({"cuMemcpyDtoD", BETWEEN, to, from, bytes});
}

DRIVER_API cuMemcpyHtoDAsync_v2(DevicePointer to, const void* from, std::size_t bytes, Stream* stream) {
  return copyIn({"cuMemcpyHtoDAsync", IN, to, addressOf(from), bytes}, stream);
}

DRIVER_API cuMemcpyDtoHAsync_v2(void* to, DevicePointer from, std::size_t bytes, Stream* stream) {
  return copyIn({"cuMemcpyDtoHAsync", OUT, addressOf(to), from, bytes}, stream);
}

DRIVER_API cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from, std::size_t bytes, Stream* stream) {
  return copyIn({"cuMemcpyDtoDAsync", BETWEEN, to, from, bytes}, stream);
}

namespace {

/// The direction of a copy between unified addresses.
Direction directionOf(Driver& driver, Address to, Address from) {
  if (!driver.memory.find(to)) return OUT;
  return driver.memory.find(from) ? BETWEEN : IN;
}

}  // namespace

DRIVER_API cuMemcpy(DevicePointer to, DevicePointer from, std::size_t bytes) {
  return inContext([&](Driver& driver, Context&) -> Status { return copyNow({"cuMemcpy", directionOf(driver, to, from), to, from, bytes}); });
}

DRIVER_API cuMemcpyAsync(DevicePointer to, DevicePointer from, std::size_t bytes, Stream* stream) {
  return inContext([&](Driver& driver, Context&) -> Status {
    return copyIn({"cuMemcpyAsync", directionOf(driver, to, from), to, from, bytes}, stream);
  });
}

namespace {

/// A copy of rows as the structure says, or an error.
Status copy2D(const Copy2D* c, const std::function<Status(const Copy&)>& run) {
  if (c == nullptr) return INVALID_VALUE;
  const bool toHost = c->dstMemoryType == HOST, fromHost = c->srcMemoryType == HOST;
  if ((!toHost && c->dstMemoryType != DEVICE) || (!fromHost && c->srcMemoryType != DEVICE) || (toHost && fromHost)) {
    return fail(NOT_SUPPORTED, "cuMemcpy2D other than between device and host, or on the device, is not supported by the emulator");
  }
  const std::size_t toPitch = c->dstPitch == 0 ? c->widthInBytes : c->dstPitch;
  const std::size_t fromPitch = c->srcPitch == 0 ? c->widthInBytes : c->srcPitch;
  if (toPitch < c->dstXInBytes + c->widthInBytes || fromPitch < c->srcXInBytes + c->widthInBytes) {
    return fail(INVALID_VALUE, "cuMemcpy2D: a row is wider than the pitch");
  }
  const Address to = (toHost ? addressOf(c->dstHost) : c->dstDevice) + c->dstY * toPitch + c->dstXInBytes;
  const Address from = (fromHost ? addressOf(c->srcHost) : c->srcDevice) + c->srcY * fromPitch + c->srcXInBytes;
  return run({"cuMemcpy2D", toHost ? OUT : fromHost ? IN : BETWEEN, to, from, c->widthInBytes, c->height, toPitch, fromPitch});
}

}  // namespace

DRIVER_API cuMemcpy2D_v2(const Copy2D* copy) { return copy2D(copy, copyNow); }
DRIVER_API cuMemcpy2DUnaligned_v2(const Copy2D* copy) { return copy2D(copy, copyNow); }
DRIVER_API cuMemcpy2DAsync_v2(const Copy2D* copy, Stream* stream) {
  return copy2D(copy, [&](const Copy& c) -> Status { return copyIn(c, stream); });
}

// ---- fills

DRIVER_API cuMemsetD8_v2(DevicePointer to, unsigned char value, std::size_t n) { return fillNow({"cuMemsetD8", to, value, 1, n}); }
DRIVER_API cuMemsetD16_v2(DevicePointer to, unsigned short value, std::size_t n) { return fillNow({"cuMemsetD16", to, value, 2, n}); }
DRIVER_API cuMemsetD32_v2(DevicePointer to, unsigned value, std::size_t n) { return fillNow({"cuMemsetD32", to, value, 4, n}); }

DRIVER_API cuMemsetD8Async(DevicePointer to, unsigned char value, std::size_t n, Stream* stream) {
  return fillIn({"cuMemsetD8Async", to, value, 1, n}, stream);
}
DRIVER_API cuMemsetD16Async(DevicePointer to, unsigned short value, std::size_t n, Stream* stream) {
  return fillIn({"cuMemsetD16Async", to, value, 2, n}, stream);
}
DRIVER_API cuMemsetD32Async(DevicePointer to, unsigned value, std::size_t n, Stream* stream) {
  return fillIn({"cuMemsetD32Async", to, value, 4, n}, stream);
}

DRIVER_API cuMemsetD2D8_v2(DevicePointer to, std::size_t pitch, unsigned char value, std::size_t width, std::size_t height) {
  return fillNow({"cuMemsetD2D8", to, value, 1, width, height, pitch});
}
DRIVER_API cuMemsetD2D16_v2(DevicePointer to, std::size_t pitch, unsigned short value, std::size_t width, std::size_t height) {
  return fillNow({"cuMemsetD2D16", to, value, 2, width, height, pitch});
}
DRIVER_API cuMemsetD2D32_v2(DevicePointer to, std::size_t pitch, unsigned value, std::size_t width, std::size_t height) {
  return fillNow({"cuMemsetD2D32", to, value, 4, width, height, pitch});
}
DRIVER_API cuMemsetD2D8Async(DevicePointer to, std::size_t pitch, unsigned char value, std::size_t width, std::size_t height, Stream* stream) {
  return fillIn({"cuMemsetD2D8Async", to, value, 1, width, height, pitch}, stream);
}
DRIVER_API cuMemsetD2D16Async(DevicePointer to, std::size_t pitch, unsigned short value, std::size_t width, std::size_t height,
                              Stream* stream) {
  return fillIn({"cuMemsetD2D16Async", to, value, 2, width, height, pitch}, stream);
}
DRIVER_API cuMemsetD2D32Async(DevicePointer to, std::size_t pitch, unsigned value, std::size_t width, std::size_t height, Stream* stream) {
  return fillIn({"cuMemsetD2D32Async", to, value, 4, width, height, pitch}, stream);
}
