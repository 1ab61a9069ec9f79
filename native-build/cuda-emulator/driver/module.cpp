// SPDX-License-Identifier: Apache-2.0
// Modules of PTX, their functions, occupancy and launches.
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

#include "state.h"

using namespace lacuna::emulator;
using namespace lacuna::emulator::driver;

namespace {

// options of cuModuleLoadDataEx
constexpr int INFO_LOG = 3, INFO_LOG_BYTES = 4, ERROR_LOG = 5, ERROR_LOG_BYTES = 6;

/// The buffers into which a module's compilation is to be told.
struct Logs {
  char* info = nullptr;
  char* error = nullptr;
  void** infoBytes = nullptr;
  void** errorBytes = nullptr;

  static void write(const std::string& text, char* to, void** bytes) {
    const std::size_t room = bytes == nullptr ? 0 : static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(*bytes));
    std::size_t written = 0;
    if (to != nullptr && room > 0) {
      written = std::min(text.size(), room - 1);
      std::memcpy(to, text.data(), written);
      to[written++] = 0;
    }
    if (bytes != nullptr) *bytes = reinterpret_cast<void*>(static_cast<std::uintptr_t>(written));
  }
};

Logs logsOf(unsigned count, const int* options, void** values) {
  Logs logs;
  for (unsigned i = 0; i < count; ++i) {
    switch (options[i]) {
      case INFO_LOG: logs.info = static_cast<char*>(values[i]); break;
      case INFO_LOG_BYTES: logs.infoBytes = &values[i]; break;
      case ERROR_LOG: logs.error = static_cast<char*>(values[i]); break;
      case ERROR_LOG_BYTES: logs.errorBytes = &values[i]; break;
      default: break;  // what the others ask of a compiler there is none to ask
    }
  }
  return logs;
}

/// The number that follows a directive at the beginning of a line, its dot left out: 85 for .version 8.5, 80 for .target sm_80.
unsigned directive(std::string_view ptx, std::string_view name) {
  std::size_t at = 0;
  while (at < ptx.size()) {
    const std::size_t end = std::min(ptx.find('\n', at), ptx.size());
    std::string_view line = ptx.substr(at, end - at);
    at = end + 1;
    const std::size_t text = line.find_first_not_of(" \t\r");
    if (text == std::string_view::npos || line.compare(text, name.size(), name) != 0) continue;
    unsigned number = 0;
    for (char c : line.substr(text + name.size())) {
      if (c >= '0' && c <= '9') {
        number = number * 10 + static_cast<unsigned>(c - '0');
      } else if (number > 0 && c != '.') {
        break;
      }
    }
    return number;
  }
  return 0;
}

Status load(LoadedModule** handle, std::string_view ptx, const Logs& logs) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    if (handle == nullptr) return INVALID_VALUE;
    auto refuse = [&](Status error, const std::string& text) -> Status {
      Logs::write("", logs.info, logs.infoBytes);
      Logs::write(text, logs.error, logs.errorBytes);
      return fail(error, text);
    };
    const unsigned version = directive(ptx, ".version"), target = directive(ptx, ".target sm_");
    const unsigned newest = static_cast<unsigned>((driver.version / 1000 - 4) * 10 + driver.version % 1000 / 10);
    const unsigned architecture = static_cast<unsigned>(driver.chip.major * 10 + driver.chip.minor);
    if (version == 0 || target == 0) return refuse(INVALID_IMAGE, "the module is no PTX: it has no .version or no .target");
    if (version > newest) {
      return refuse(UNSUPPORTED_PTX_VERSION, "PTX " + std::to_string(version / 10) + "." + std::to_string(version % 10) +
                                                 " is newer than this driver, which takes " + std::to_string(newest / 10) + "." +
                                                 std::to_string(newest % 10));
    }
    if (target > architecture) {
      return refuse(INVALID_PTX, "PTX for sm_" + std::to_string(target) + " does not run on this device, sm_" + std::to_string(architecture));
    }
    auto loaded = std::make_shared<LoadedModule>();
    loaded->context = &context;
    try {
      loaded->module = std::make_unique<Module>(driver.memory, ptx);
    } catch (const PtxError& e) {
      return refuse(INVALID_PTX, e.what());
    }
    Logs::write("", logs.error, logs.errorBytes);
    Logs::write(std::to_string(loaded->module->functions().size()) + " functions read by the Lacuna emulator", logs.info, logs.infoBytes);
    for (const auto& function : loaded->module->functions()) {
      auto kernel = std::make_shared<Kernel>();
      kernel->context = &context;
      kernel->module = loaded.get();
      kernel->function = function.get();
      kernel->dynamicShared = Limits::sharedPerBlock - std::min(Limits::sharedPerBlock, function->sharedBytes);
      loaded->kernels.push_back(kernel);
      driver.kernels.add(kernel);
    }
    *handle = driver.modules.add(loaded);
    return SUCCESS;
  });
}

/// An image as the program points to it: PTX text, ended by a zero. Machine code is for machines that this is not.
Status loadImage(LoadedModule** handle, const void* image, const Logs& logs) {
  if (image == nullptr) return INVALID_VALUE;
  std::uint32_t magic;
  std::memcpy(&magic, image, sizeof magic);
  if (magic == 0x466243b1 || magic == 0xba55ed50 || magic == 0x464c457f) {
    const std::string text = "a fatbin or cubin: the emulator has no use for machine code, and takes PTX";
    Logs::write(text, logs.error, logs.errorBytes);
    return fail(NO_BINARY_FOR_GPU, text);
  }
  return load(handle, static_cast<const char*>(image), logs);
}

Status onKernel(Kernel* handle, const std::function<Status(Driver&, Context&, const std::shared_ptr<Kernel>&)>& body) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    const std::shared_ptr<Kernel> kernel = driver.kernels.find(handle);
    if (kernel == nullptr) return fail(INVALID_HANDLE, "a function of no module that is loaded");
    return body(driver, context, kernel);
  });
}

std::size_t roundUp(std::size_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; }

/// Blocks that fit on a multiprocessor at once: registers are handed out to warps in 256s, warps four at a time, shared memory in 128s,
/// 1 KiB of it to each block for the system.
int activeBlocks(const Driver& driver, const Kernel& kernel, int threads, std::size_t dynamicShared) {
  const Function& function = *kernel.function;
  const int warps = (threads + 31) / 32;
  const int registerWarps = static_cast<int>(65536 / std::max<std::size_t>(256, roundUp(function.registers * 32, 256))) / 4 * 4;
  int blocks = std::min(driver.chip.blocksPerMultiprocessor, driver.chip.threadsPerMultiprocessor / 32 / warps);
  blocks = std::min(blocks, registerWarps / warps);
  const std::size_t shared = roundUp(function.sharedBytes + dynamicShared + 1024, 128);
  return std::min(blocks, static_cast<int>(driver.chip.sharedPerMultiprocessor / shared));
}

std::string shape(Dim3 d) { return "(" + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ")"; }

/// What the driver refuses before the device sees it.
Status checkLaunch(const Driver& driver, const Kernel& kernel, Dim3 grid, Dim3 block, std::size_t dynamicShared) {
  const Function& f = *kernel.function;
  auto refuse = [&](Status error, const std::string& text) -> Status {
    return fail(error, f.name + ": " + text + "; grid " + shape(grid) + ", block " + shape(block) + ", " + std::to_string(dynamicShared) +
                           " bytes of dynamic shared memory");
  };
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0) return refuse(INVALID_VALUE, "nothing to launch");
  if (grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535) return refuse(INVALID_VALUE, "the grid is too large");
  if (block.x > 1024 || block.y > 1024 || block.z > 64) return refuse(INVALID_VALUE, "the block is too large");
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  if (threads > Limits::maxThreadsPerBlock) return refuse(INVALID_VALUE, "the block has more than 1024 threads");
  if (threads > f.maxThreads) {
    return refuse(INVALID_VALUE, "the block has more threads than the kernel's launch bounds allow, " + std::to_string(f.maxThreads));
  }
  if (dynamicShared > kernel.dynamicShared) {
    return refuse(INVALID_VALUE, "more dynamic shared memory than the function may have, " + std::to_string(kernel.dynamicShared) +
                                     " bytes (CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)");
  }
  if (activeBlocks(driver, kernel, static_cast<int>(threads), dynamicShared) == 0) {
    return refuse(LAUNCH_OUT_OF_RESOURCES, "a multiprocessor cannot hold one block (about " + std::to_string(f.registers) + " registers a thread)");
  }
  return SUCCESS;
}

Status errorOf(Fault fault) {
  switch (fault) {
    case Fault::NONE: return SUCCESS;
    case Fault::ILLEGAL_ADDRESS: return ILLEGAL_ADDRESS;
    case Fault::MISALIGNED: return MISALIGNED_ADDRESS;
    case Fault::ILLEGAL_INSTRUCTION: return ILLEGAL_INSTRUCTION;
    case Fault::HANG: return LAUNCH_TIMEOUT;
    case Fault::INVALID_VALUE: return INVALID_VALUE;
    default: return LAUNCH_FAILED;  // checks that a device does not have, and traps
  }
}

/// Parameters as the kernel sees them, out of an array of pointers or of one buffer. False when they do not fit the kernel.
bool gather(const Function& f, void** parameters, void** extra, std::vector<std::uint8_t>& bytes, std::string& wrong) {
  bytes.assign(f.parameterBytes, 0);
  if (parameters != nullptr) {
    if (extra != nullptr) {
      wrong = "both kernelParams and extra are given";
      return false;
    }
    for (std::size_t i = 0; i < f.parameters.size(); ++i) {
      const Parameter& parameter = f.parameters[i];
      if (parameters[i] == nullptr) {
        wrong = "parameter " + std::to_string(i) + " is null";
        return false;
      }
      std::memcpy(bytes.data() + parameter.offset, parameters[i], parameter.bytes);
    }
    return true;
  }
  if (extra == nullptr) {
    wrong = "it has " + std::to_string(f.parameters.size()) + " parameters, and none are given";
    return f.parameters.empty();
  }
  const void* buffer = nullptr;
  const std::size_t* size = nullptr;
  for (std::size_t i = 0; extra[i] != nullptr; i += 2) {
    const auto name = reinterpret_cast<std::uintptr_t>(extra[i]);
    if (name == 1) {
      buffer = extra[i + 1];
    } else if (name == 2) {
      size = static_cast<const std::size_t*>(extra[i + 1]);
    } else {
      break;
    }
  }
  if (buffer == nullptr || size == nullptr || *size != f.parameterBytes) {
    wrong = "its parameters take " + std::to_string(f.parameterBytes) + " bytes, and " + (size == nullptr ? "no" : std::to_string(*size)) +
            " bytes are given";
    return false;
  }
  std::memcpy(bytes.data(), buffer, *size);
  return true;
}

}  // namespace

// ---- modules

DRIVER_API cuModuleLoadDataEx(LoadedModule** handle, const void* image, unsigned count, int* options, void** values) {
  if (count > 0 && (options == nullptr || values == nullptr)) return INVALID_VALUE;
  return loadImage(handle, image, logsOf(count, options, values));
}

DRIVER_API cuModuleLoadData(LoadedModule** handle, const void* image) { return loadImage(handle, image, {}); }
DRIVER_API cuModuleLoadFatBinary(LoadedModule** handle, const void* image) { return loadImage(handle, image, {}); }

DRIVER_API cuModuleLoad(LoadedModule** handle, const char* path) {
  if (path == nullptr) return INVALID_VALUE;
  std::ifstream file(path, std::ios::binary);
  if (!file) return FILE_NOT_FOUND;
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  text.resize(std::max<std::size_t>(text.size(), 4));
  return loadImage(handle, text.c_str(), {});
}

DRIVER_API cuModuleUnload(LoadedModule* handle) {
  return inContext([&](Driver& driver, Context& context) -> Status {
    const std::shared_ptr<LoadedModule> module = driver.modules.find(handle);
    if (module == nullptr) return fail(INVALID_HANDLE, "cuModuleUnload of what is not loaded");
    if (Status result = drainContext(driver, context); result != SUCCESS) return result;
    for (const auto& kernel : module->kernels) driver.kernels.remove(kernel.get());
    driver.modules.remove(handle);
    return SUCCESS;
  });
}

DRIVER_API cuModuleGetFunction(Kernel** handle, LoadedModule* moduleHandle, const char* name) {
  return inContext([&](Driver& driver, Context&) -> Status {
    const std::shared_ptr<LoadedModule> module = driver.modules.find(moduleHandle);
    if (module == nullptr) return fail(INVALID_HANDLE, "cuModuleGetFunction of a module that is not loaded");
    if (handle == nullptr || name == nullptr) return INVALID_VALUE;
    for (const auto& kernel : module->kernels) {
      if (kernel->function->name == name) {
        *handle = kernel.get();
        return SUCCESS;
      }
    }
    return fail(NOT_FOUND, std::string("no function ") + name + " in the module");
  });
}

DRIVER_API cuModuleGetGlobal_v2(DevicePointer* pointer, std::size_t* bytes, LoadedModule* moduleHandle, const char* name) {
  return inContext([&](Driver& driver, Context&) -> Status {
    const std::shared_ptr<LoadedModule> module = driver.modules.find(moduleHandle);
    if (module == nullptr) return fail(INVALID_HANDLE, "cuModuleGetGlobal of a module that is not loaded");
    if (name == nullptr) return INVALID_VALUE;
    const Global* global = module->module->global(name);
    if (global == nullptr) return fail(NOT_FOUND, std::string("no variable ") + name + " in the module");
    if (pointer != nullptr) *pointer = global->address;
    if (bytes != nullptr) *bytes = global->bytes;
    return SUCCESS;
  });
}

DRIVER_API cuModuleGetLoadingMode(int* mode) {
  return withDriver([&](Driver&) -> Status {
    if (mode == nullptr) return INVALID_VALUE;
    *mode = 1;
    return SUCCESS;
  });
}

// ---- functions

DRIVER_API cuFuncGetModule(LoadedModule** module, Kernel* handle) {
  return onKernel(handle, [&](Driver&, Context&, const std::shared_ptr<Kernel>& kernel) -> Status {
    if (module == nullptr) return INVALID_VALUE;
    *module = kernel->module;
    return SUCCESS;
  });
}

DRIVER_API cuFuncGetAttribute(int* value, int attribute, Kernel* handle) {
  return onKernel(handle, [&](Driver& driver, Context&, const std::shared_ptr<Kernel>& kernel) -> Status {
    if (value == nullptr) return INVALID_VALUE;
    const Function& f = *kernel->function;
    switch (attribute) {
      case 0: *value = static_cast<int>(f.maxThreads); return SUCCESS;
      case 1: *value = static_cast<int>(f.sharedBytes); return SUCCESS;
      case 2: *value = static_cast<int>(f.constBytes); return SUCCESS;
      case 3: *value = static_cast<int>(f.localBytes); return SUCCESS;
      case 4: *value = static_cast<int>(f.registers); return SUCCESS;
      case 5: *value = static_cast<int>(f.ptxVersion); return SUCCESS;
      case 6: *value = driver.chip.major * 10 + driver.chip.minor; return SUCCESS;
      case 7: *value = 0; return SUCCESS;
      case 8: *value = static_cast<int>(kernel->dynamicShared); return SUCCESS;
      case 9: *value = kernel->carveout; return SUCCESS;
      default: return INVALID_VALUE;
    }
  });
}

DRIVER_API cuFuncSetAttribute(Kernel* handle, int attribute, int value) {
  return onKernel(handle, [&](Driver& driver, Context&, const std::shared_ptr<Kernel>& kernel) -> Status {
    if (attribute == 8) {
      const std::size_t most = driver.chip.sharedOptIn - std::min(driver.chip.sharedOptIn, kernel->function->sharedBytes);
      if (value < 0 || static_cast<std::size_t>(value) > most) {
        return fail(INVALID_VALUE, kernel->function->name + ": " + std::to_string(value) + " bytes of dynamic shared memory, and at most " +
                                       std::to_string(most) + " are possible");
      }
      kernel->dynamicShared = static_cast<std::size_t>(value);
      return SUCCESS;
    }
    if (attribute == 9 && value >= -1 && value <= 100) {
      kernel->carveout = value;
      return SUCCESS;
    }
    return INVALID_VALUE;
  });
}

DRIVER_API cuFuncSetCacheConfig(Kernel* handle, int config) {
  return onKernel(handle, [&](Driver&, Context&, const std::shared_ptr<Kernel>&) -> Status { return config < 0 || config > 3 ? INVALID_VALUE : SUCCESS; });
}

DRIVER_API cuFuncSetSharedMemConfig(Kernel* handle, int config) {
  return onKernel(handle, [&](Driver&, Context&, const std::shared_ptr<Kernel>&) -> Status { return config < 0 || config > 2 ? INVALID_VALUE : SUCCESS; });
}

// ---- occupancy

DRIVER_API cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Kernel* handle, int threads, std::size_t dynamicShared) {
  return onKernel(handle, [&](Driver& driver, Context&, const std::shared_ptr<Kernel>& kernel) -> Status {
    if (blocks == nullptr || threads < 1) return INVALID_VALUE;
    const bool possible = threads <= static_cast<int>(kernel->function->maxThreads) && dynamicShared <= kernel->dynamicShared;
    *blocks = possible ? activeBlocks(driver, *kernel, threads, dynamicShared) : 0;
    return SUCCESS;
  });
}

DRIVER_API cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, Kernel* handle, int threads, std::size_t dynamicShared, unsigned) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, handle, threads, dynamicShared);
}

DRIVER_API cuOccupancyMaxPotentialBlockSize(int* grid, int* threads, Kernel* handle, std::size_t (*sharedOf)(int), std::size_t dynamicShared,
                                            int limit) {
  return onKernel(handle, [&](Driver& driver, Context&, const std::shared_ptr<Kernel>& kernel) -> Status {
    if (grid == nullptr || threads == nullptr || limit < 0) return INVALID_VALUE;
    int most = static_cast<int>(kernel->function->maxThreads);
    if (limit > 0) most = std::min(most, limit);
    int best = 0;
    for (int size = (most + 31) / 32 * 32; size >= 32; size -= 32) {
      const int n = std::min(size, most);
      const int blocks = activeBlocks(driver, *kernel, n, sharedOf == nullptr ? dynamicShared : sharedOf(n));
      if (blocks * n > best) {
        best = blocks * n;
        *threads = n;
        *grid = blocks * driver.chip.multiprocessors;
      }
    }
    return best > 0 ? SUCCESS : INVALID_VALUE;
  });
}

DRIVER_API cuOccupancyAvailableDynamicSMemPerBlock(std::size_t* bytes, Kernel* handle, int blocks, int threads) {
  return onKernel(handle, [&](Driver& driver, Context&, const std::shared_ptr<Kernel>& kernel) -> Status {
    if (bytes == nullptr || blocks < 1 || threads < 1) return INVALID_VALUE;
    const std::size_t each = driver.chip.sharedPerMultiprocessor / static_cast<unsigned>(blocks) / 128 * 128;
    const std::size_t taken = kernel->function->sharedBytes + 1024;
    *bytes = each < taken ? 0 : std::min(each, driver.chip.sharedOptIn + 1024) - std::min(each, taken);
    return SUCCESS;
  });
}

// ---- launches

DRIVER_API cuLaunchKernel(Kernel* handle, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY, unsigned blockZ,
                          unsigned dynamicShared, Stream* streamHandle, void** parameters, void** extra) {
  return onKernel(handle, [&](Driver& driver, Context& context, const std::shared_ptr<Kernel>& kernel) -> Status {
    const std::shared_ptr<Stream> stream = streamOf(driver, context, streamHandle);
    if (stream == nullptr) return fail(INVALID_HANDLE, kernel->function->name + ": launched in no stream of the current context");
    const Dim3 grid{gridX, gridY, gridZ}, block{blockX, blockY, blockZ};
    if (Status result = checkLaunch(driver, *kernel, grid, block, dynamicShared); result != SUCCESS) return result;
    auto bytes = std::make_shared<std::vector<std::uint8_t>>();
    std::string wrong;
    if (!gather(*kernel->function, parameters, extra, *bytes, wrong)) return fail(INVALID_VALUE, kernel->function->name + ": " + wrong);

    const std::weak_ptr<LoadedModule> module = driver.modules.find(kernel->module);
    const std::string name = kernel->function->name;
    return submit(driver, stream, KERNEL_NODE, [=, &driver, &context, function = kernel->function]() -> Status {
      const std::shared_ptr<LoadedModule> held = module.lock();
      if (held == nullptr) return failContext(context, ILLEGAL_ADDRESS, name + ": a graph launches it, and its module was unloaded");
      const lacuna::emulator::Result result = launch(driver.memory, *function, grid, block, dynamicShared, bytes->data(), driver.options);
      driver.count(result.counts.json(name, grid, block));
      return result.ok() ? SUCCESS : failContext(context, errorOf(result.fault), result.message);
    });
  });
}
