package dev.lacuna.kernels.opencl;

import dev.lacuna.ops.Ops;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.OpsProvider;
import dev.lacuna.ops.UnsupportedKernelException;
import java.util.List;
import java.util.stream.Collectors;

/**
 * Offers {@code opencl} on the best device that there is: above the processor's own kernels where that is a GPU, below them where OpenCL only has the
 * processor itself.
 */
public final class OpenClProvider implements OpsProvider {
    static final String TIER = "opencl";
    private static final int GPU = 400;
    private static final int CPU = 50;

    @Override
    public String name() {
        return TIER;
    }

    @Override
    public List<Tier> tiers() {
        Device.Found found = Device.found();
        List<Device> devices = found.devices();
        if (devices.isEmpty()) return List.of(new Tier(TIER, CPU, found.why(), "OpenCL"));
        String names = devices.stream().map(d -> d.name() + " (" + DeviceMemory.mb(d.memory()) + ")").collect(Collectors.joining(", "));
        return List.of(new Tier(TIER, devices.getFirst().cpu() ? CPU : GPU, found.why(), "OpenCL, " + names));
    }

    @Override
    public Ops open(String tier, OpsOptions options) {
        Device.Found found = Device.found();
        String why = found.why();
        if (why != null || !tier.equals(TIER)) throw new UnsupportedKernelException("kernels '" + tier + "' cannot run here: " + why);
        return OpenClOps.on(found.devices().getFirst());
    }
}
