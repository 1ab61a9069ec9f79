// SPDX-License-Identifier: Apache-2.0
#include "format.cuh"

SPARSE_FORMAT(I8_24)
