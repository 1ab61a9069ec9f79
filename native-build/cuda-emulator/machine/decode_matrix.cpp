// SPDX-License-Identifier: Apache-2.0
#include "decode.h"

namespace lacuna::emulator {

void addMatrix(DecodeTable&) {}

}  // namespace lacuna::emulator
