package dev.lacuna.kernels.cuda;

import static dev.lacuna.kernels.cuda.CudaException.check;

import dev.lacuna.ops.Step;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.function.Supplier;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUresult;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.JCudaDriver;

/** Recorded steps, the least recently used of which goes when there are many. */
final class Graphs {
    /** Recorded steps that are kept: one of a model of 32 layers takes some 1 MB. */
    static final int MOST = 64;

    private final Device device;
    private final LinkedHashMap<Step, Graph> graphs = new LinkedHashMap<>(16, 0.75f, true);
    private int recorded;
    private int replayed;

    Graphs(Device device) {
        this.device = device;
    }

    /** A recorded step, and what the host notes about its operands each time that it runs. */
    private record Graph(CUgraphExec exec, List<Runnable> notes) {}

    /** What a body asks for: launches in their order, and notes. */
    record Calls(List<Launch> launches, List<Runnable> notes) {
        Calls() {
            this(new ArrayList<>(), new ArrayList<>());
        }
    }

    /**
     * Runs the step, recorded at the first use of its key.
     *
     * @param body collects the launches; what it needs beside them (modules, scratch) it may load and allocate, since nothing is captured yet
     */
    void run(Step key, Supplier<Calls> body) {
        Graph g = graphs.get(key);
        if (g == null) {
            g = record(body.get());
            graphs.put(key, g);
            recorded++;
            if (graphs.size() > MOST) destroy(graphs.pollFirstEntry().getValue());
        } else {
            replayed++;
        }
        check(JCudaDriver.cuGraphLaunch(g.exec, device.stream()), "cuGraphLaunch of " + key);
        g.notes.forEach(Runnable::run);
        device.finish("cuStreamSynchronize after " + key);
    }

    private Graph record(Calls calls) {
        check(JCudaDriver.cuStreamBeginCapture(device.stream(), CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
                "cuStreamBeginCapture");
        CUgraph graph = new CUgraph();
        boolean complete = false;
        int ended;
        try {
            for (Launch l : calls.launches) l.go(device.stream());
            complete = true;
        } finally {
            // also after a launch that was refused: the stream must not go on capturing
            ended = JCudaDriver.cuStreamEndCapture(device.stream(), graph);
            if (!complete && ended == CUresult.CUDA_SUCCESS) check(JCudaDriver.cuGraphDestroy(graph), "cuGraphDestroy");
        }
        check(ended, "cuStreamEndCapture");
        CUgraphExec exec = new CUgraphExec();
        try {
            check(JCudaDriver.cuGraphInstantiate(exec, graph, 0), "cuGraphInstantiate");
        } finally {
            check(JCudaDriver.cuGraphDestroy(graph), "cuGraphDestroy");
        }
        Device.count(1);
        return new Graph(exec, calls.notes);
    }

    private static void destroy(Graph g) {
        check(JCudaDriver.cuGraphExecDestroy(g.exec), "cuGraphExecDestroy");
        Device.count(-1);
    }

    /** Forgets every step: an address in one of them is about to be freed. */
    void clear() {
        graphs.values().forEach(Graphs::destroy);
        graphs.clear();
    }

    /** Steps recorded so far. */
    int recorded() {
        return recorded;
    }

    /** Steps that ran without their body being called. */
    int replayed() {
        return replayed;
    }
}
