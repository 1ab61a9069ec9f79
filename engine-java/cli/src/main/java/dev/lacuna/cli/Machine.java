package dev.lacuna.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** What the system tells of the machine. */
final class Machine {
    /** Instruction sets that kernels can use, as Linux spells them. */
    private static final List<String> ISA = List.of("avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni",
            "avx512_vbmi2",
            "avx512_bf16", "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "sve");

    private Machine() {}

    /** {@code arch system processors isa}, and {@code model family} where the system has them. */
    static Map<String, Object> processor() {
        Map<String, Object> processor = new LinkedHashMap<>();
        processor.put("arch", System.getProperty("os.arch", ""));
        processor.put("system", System.getProperty("os.name", "") + " " + System.getProperty("os.version", ""));
        processor.put("processors", Runtime.getRuntime().availableProcessors());
        Map<String, String> first = new LinkedHashMap<>();
        Set<String> features = new TreeSet<>();
        for (String line : lines(Path.of("/proc/cpuinfo"))) {
            int colon = line.indexOf(':');
            if (colon < 0) continue;
            String key = line.substring(0, colon).strip();
            String value = line.substring(colon + 1).strip();
            first.putIfAbsent(key, value);
            if (key.equals("flags") || key.equals("Features")) features.addAll(List.of(value.split(" +")));
        }
        if (first.containsKey("model name")) processor.put("model", first.get("model name"));
        // virtual machines hide the name; the numbers tell generations apart
        if (first.containsKey("cpu family")) processor.put("family", first.get("cpu family") + "/" + first.getOrDefault("model", "?"));
        processor.put("isa", ISA.stream().filter(features::contains).toList());
        return processor;
    }

    /** {@code total available} in bytes, where the system tells. */
    static Map<String, Object> memory() {
        Map<String, Object> memory = new LinkedHashMap<>();
        for (String line : lines(Path.of("/proc/meminfo"))) {
            if (line.startsWith("MemTotal:")) memory.put("total", kilobytes(line));
            if (line.startsWith("MemAvailable:")) memory.put("available", kilobytes(line));
        }
        return memory;
    }

    private static long kilobytes(String line) {
        return Long.parseLong(line.replaceAll("\\D", "")) << 10;
    }

    private static List<String> lines(Path file) {
        try {
            return Files.readAllLines(file);
        } catch (IOException e) {
            return List.of(); // not Linux: the rest stands without it
        }
    }
}
