package dev.lacuna.cli;

import java.util.Locale;

/** Sizes and rates as people read them. */
final class Size {
    private Size() {}

    static String of(long bytes) {
        if (bytes >= 1_000_000_000L) return String.format(Locale.ROOT, "%.1f GB", bytes / 1e9);
        if (bytes >= 10_000_000L) return Math.round(bytes / 1e6) + " MB";
        return bytes >= 100_000 ? String.format(Locale.ROOT, "%.1f MB", bytes / 1e6) : bytes + " bytes";
    }

    static String number(double value) {
        return String.format(Locale.ROOT, value >= 100 ? "%.0f" : "%.1f", value);
    }
}
