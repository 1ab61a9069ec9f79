// SPDX-License-Identifier: Apache-2.0
// What the CUDA driver API looks like in memory, as far as this driver implements it: result codes, handles, structures.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lacuna::emulator::driver {

enum Error : int {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  NO_BINARY_FOR_GPU = 209,
  UNSUPPORTED_LIMIT = 215,
  INVALID_PTX = 218,
  UNSUPPORTED_PTX_VERSION = 222,
  FILE_NOT_FOUND = 301,
  INVALID_HANDLE = 400,
  ILLEGAL_STATE = 401,
  NOT_FOUND = 500,
  NOT_READY = 600,
  ILLEGAL_ADDRESS = 700,
  LAUNCH_OUT_OF_RESOURCES = 701,
  LAUNCH_TIMEOUT = 702,
  PRIMARY_CONTEXT_ACTIVE = 708,
  HOST_MEMORY_ALREADY_REGISTERED = 712,
  HOST_MEMORY_NOT_REGISTERED = 713,
  ILLEGAL_INSTRUCTION = 715,
  MISALIGNED_ADDRESS = 716,
  LAUNCH_FAILED = 719,
  NOT_SUPPORTED = 801,
  STREAM_CAPTURE_UNSUPPORTED = 900,
  STREAM_CAPTURE_INVALIDATED = 901,
  STREAM_CAPTURE_MERGE = 902,
  STREAM_CAPTURE_UNMATCHED = 903,
  STREAM_CAPTURE_UNJOINED = 904,
  STREAM_CAPTURE_ISOLATION = 905,
  STREAM_CAPTURE_IMPLICIT = 906,
  CAPTURED_EVENT = 907,
  STREAM_CAPTURE_WRONG_THREAD = 908,
  UNKNOWN = 999,
};

using Status = int;
using Device = int;
using DevicePointer = std::uint64_t;

struct Context;
struct Stream;
struct Event;
struct LoadedModule;
struct Kernel;
struct Graph;
struct GraphExec;
struct Node;

struct Uuid {
  char bytes[16];
};

/// CUdevprop, of cuDeviceGetProperties.
struct Properties {
  int maxThreadsPerBlock;
  int maxThreadsDim[3];
  int maxGridSize[3];
  int sharedMemPerBlock;
  int totalConstantMemory;
  int simdWidth;
  int memPitch;
  int regsPerBlock;
  int clockRate;
  int textureAlign;
};

enum MemoryType : int { HOST = 1, DEVICE = 2, ARRAY = 3, UNIFIED = 4 };

/// CUDA_MEMCPY2D.
struct Copy2D {
  std::size_t srcXInBytes, srcY;
  int srcMemoryType;
  const void* srcHost;
  DevicePointer srcDevice;
  void* srcArray;
  std::size_t srcPitch;
  std::size_t dstXInBytes, dstY;
  int dstMemoryType;
  void* dstHost;
  DevicePointer dstDevice;
  void* dstArray;
  std::size_t dstPitch;
  std::size_t widthInBytes, height;
};

}  // namespace lacuna::emulator::driver

/// One exported function of the driver API.
#define DRIVER_API extern "C" __attribute__((visibility("default"))) ::lacuna::emulator::driver::Status
