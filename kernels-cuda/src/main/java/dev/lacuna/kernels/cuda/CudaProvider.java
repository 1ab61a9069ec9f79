package dev.lacuna.kernels.cuda;

import dev.lacuna.ops.Ops;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.ops.OpsProvider;
import dev.lacuna.ops.UnsupportedKernelException;
import java.util.List;

/**
 * Offers {@code cuda} where a driver sees a device that the kernels run on. The emulated device is taken only when system property
 * {@value Driver#EMULATOR} names its library, and never by default even then.
 */
public final class CudaProvider implements OpsProvider {
    static final String CUDA = "cuda";
    private static final int SCORE = 400;

    @Override
    public String name() {
        return CUDA;
    }

    @Override
    public List<Tier> tiers() {
        Driver.Found found = Driver.look();
        return List.of(new Tier(CUDA, found.emulated() ? -1 : SCORE, found.why(), found.detail()));
    }

    @Override
    public Ops open(String tier, OpsOptions options) {
        Driver.Found found = Driver.look();
        if (found.why() != null) throw new UnsupportedKernelException("kernels '" + tier + "' cannot run here: " + found.why());
        try {
            return new CudaOps(new Device(found.emulated()));
        } catch (LinkageError e) {
            throw new UnsupportedKernelException("kernels '" + tier + "' cannot run here: JCuda cannot be loaded: " + e.getMessage());
        }
    }
}
