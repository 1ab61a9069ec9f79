// SPDX-License-Identifier: Apache-2.0
#include "format.cuh"

FLOAT_FORMAT(F32)
