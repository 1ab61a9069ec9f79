/** CUDA kernels through JCuda's driver API: weights and operands on the device, steps as captured graphs. */
@NullMarked
package dev.lacuna.kernels.cuda;

import org.jspecify.annotations.NullMarked;
