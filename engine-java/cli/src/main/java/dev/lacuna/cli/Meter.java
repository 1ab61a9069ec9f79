package dev.lacuna.cli;

import dev.lacuna.hub.Progress;
import java.util.concurrent.TimeUnit;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.jspecify.annotations.Nullable;

/**
 * Shows how far long work is, on standard error: a bar on a terminal, else a line at times. What is done within a moment shows nothing.
 */
final class Meter implements Progress {
    private static final long PATIENCE = TimeUnit.MILLISECONDS.toNanos(400);
    private static final long BETWEEN_LINES = TimeUnit.SECONDS.toNanos(10);
    private static final int WIDTH = 79;

    private final Console console;
    private final String unit;
    private final long unitSize;
    private String what = "";
    private long total;
    private long done;
    private long begun;
    private long lastLine;
    private boolean shown;
    private @Nullable ProgressBar bar;

    private Meter(Console console, String unit, long unitSize) {
        this.console = console;
        this.unit = unit;
        this.unitSize = unitSize;
    }

    /** Counts bytes, shown in megabytes. */
    static Meter bytes(Console console) {
        return new Meter(console, " MB", 1_000_000);
    }

    /** Counts things, such as {@code " windows"}. */
    static Meter things(Console console, String unit) {
        return new Meter(console, unit, 1);
    }

    @Override
    public void begin(String name, long units) {
        what = name;
        total = units;
        done = 0;
        begun = System.nanoTime();
        lastLine = begun;
        shown = false;
    }

    @Override
    public void advance(long units) {
        done += units;
        long now = System.nanoTime();
        if (now - begun < PATIENCE) return;
        if (console.errIsTerminal()) {
            if (bar == null) bar = open();
            bar.stepTo(done);
        } else if (!shown || now - lastLine > BETWEEN_LINES) {
            lastLine = now;
            shown = true;
            console.notice(what + ": " + amount());
        }
    }

    private ProgressBar open() {
        return new ProgressBarBuilder().setTaskName(what).setInitialMax(total).setUnit(unit, unitSize).setStyle(ProgressBarStyle.ASCII)
                .setUpdateIntervalMillis(200).setConsumer(new ConsoleProgressBarConsumer(console.err(), WIDTH)).build();
    }

    private String amount() {
        String part = done / unitSize + (total < 0 ? "" : " of " + total / unitSize) + unit;
        return total > 0 ? part + " (" + Math.min(100, 100 * done / total) + " %)" : part;
    }

    @Override
    public void end() {
        if (bar != null) {
            bar.close();
            bar = null;
        } else if (shown) {
            console.notice(what + ": " + amount());
        }
    }

    @Override
    public void notice(String line) {
        console.notice(line);
    }
}
