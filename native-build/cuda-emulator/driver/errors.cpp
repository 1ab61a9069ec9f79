// SPDX-License-Identifier: Apache-2.0
// Names of result codes.
#include <map>

#include "api.h"

using namespace lacuna::emulator::driver;

namespace {

struct Text {
  const char* name;
  const char* meaning;
};

const std::map<int, Text>& texts() {
  static const std::map<int, Text> table = {
      {SUCCESS, {"CUDA_SUCCESS", "no error"}},
      {INVALID_VALUE, {"CUDA_ERROR_INVALID_VALUE", "an argument is outside what the call takes"}},
      {OUT_OF_MEMORY, {"CUDA_ERROR_OUT_OF_MEMORY", "not enough memory"}},
      {NOT_INITIALIZED, {"CUDA_ERROR_NOT_INITIALIZED", "cuInit was not called"}},
      {INVALID_DEVICE, {"CUDA_ERROR_INVALID_DEVICE", "no such device"}},
      {INVALID_IMAGE, {"CUDA_ERROR_INVALID_IMAGE", "the module is not in a form that can be loaded"}},
      {INVALID_CONTEXT, {"CUDA_ERROR_INVALID_CONTEXT", "no context is current, or it is not valid"}},
      {NO_BINARY_FOR_GPU, {"CUDA_ERROR_NO_BINARY_FOR_GPU", "the module has no code for this device"}},
      {UNSUPPORTED_LIMIT, {"CUDA_ERROR_UNSUPPORTED_LIMIT", "the device has no such limit"}},
      {INVALID_PTX, {"CUDA_ERROR_INVALID_PTX", "the PTX does not compile"}},
      {UNSUPPORTED_PTX_VERSION, {"CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the PTX is newer than the driver"}},
      {FILE_NOT_FOUND, {"CUDA_ERROR_FILE_NOT_FOUND", "no such file"}},
      {INVALID_HANDLE, {"CUDA_ERROR_INVALID_HANDLE", "a handle stands for nothing that there is"}},
      {ILLEGAL_STATE, {"CUDA_ERROR_ILLEGAL_STATE", "the object is not in the state that the call needs"}},
      {NOT_FOUND, {"CUDA_ERROR_NOT_FOUND", "nothing of that name"}},
      {NOT_READY, {"CUDA_ERROR_NOT_READY", "work has not ended yet"}},
      {ILLEGAL_ADDRESS, {"CUDA_ERROR_ILLEGAL_ADDRESS", "a kernel touched memory that is not its own"}},
      {LAUNCH_OUT_OF_RESOURCES, {"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "a block asks for more than a multiprocessor has"}},
      {LAUNCH_TIMEOUT, {"CUDA_ERROR_LAUNCH_TIMEOUT", "a kernel did not end"}},
      {PRIMARY_CONTEXT_ACTIVE, {"CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE", "the primary context is in use"}},
      {HOST_MEMORY_ALREADY_REGISTERED, {"CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", "the host memory is registered already"}},
      {HOST_MEMORY_NOT_REGISTERED, {"CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED", "the host memory is not registered"}},
      {ILLEGAL_INSTRUCTION, {"CUDA_ERROR_ILLEGAL_INSTRUCTION", "a kernel met an instruction that cannot be executed"}},
      {MISALIGNED_ADDRESS, {"CUDA_ERROR_MISALIGNED_ADDRESS", "a kernel used an address that is not aligned"}},
      {LAUNCH_FAILED, {"CUDA_ERROR_LAUNCH_FAILED", "a kernel failed"}},
      {NOT_SUPPORTED, {"CUDA_ERROR_NOT_SUPPORTED", "this driver cannot do that"}},
      {STREAM_CAPTURE_UNSUPPORTED, {"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "not allowed while a stream is captured"}},
      {STREAM_CAPTURE_INVALIDATED, {"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "an earlier error ended the capture"}},
      {STREAM_CAPTURE_MERGE, {"CUDA_ERROR_STREAM_CAPTURE_MERGE", "two captures would become one"}},
      {STREAM_CAPTURE_UNMATCHED, {"CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "the capture did not begin in this stream"}},
      {STREAM_CAPTURE_UNJOINED, {"CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "a forked stream was not joined"}},
      {STREAM_CAPTURE_ISOLATION, {"CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "a capture depends on work outside of it"}},
      {STREAM_CAPTURE_IMPLICIT, {"CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "the legacy stream would wait for a captured stream"}},
      {CAPTURED_EVENT, {"CUDA_ERROR_CAPTURED_EVENT", "the event was last recorded in a capture"}},
      {STREAM_CAPTURE_WRONG_THREAD, {"CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "the capture began in another thread"}},
      {UNKNOWN, {"CUDA_ERROR_UNKNOWN", "an unknown error"}},
  };
  return table;
}

}  // namespace

DRIVER_API cuGetErrorName(int error, const char** name) {
  if (name == nullptr) return INVALID_VALUE;
  auto found = texts().find(error);
  *name = found == texts().end() ? nullptr : found->second.name;
  return *name == nullptr ? INVALID_VALUE : SUCCESS;
}

DRIVER_API cuGetErrorString(int error, const char** meaning) {
  if (meaning == nullptr) return INVALID_VALUE;
  auto found = texts().find(error);
  *meaning = found == texts().end() ? nullptr : found->second.meaning;
  return *meaning == nullptr ? INVALID_VALUE : SUCCESS;
}
