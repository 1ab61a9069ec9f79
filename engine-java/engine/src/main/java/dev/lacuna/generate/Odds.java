package dev.lacuna.generate;

/**
 * What each token of a row weighs, relative to the best: {@code exp((logit - best) / temperature)}, without sorting the vocabulary. Sorting it for
 * every token would cost more than a small model's step.
 */
final class Odds {
    /** Of a table of powers of two; between its entries the error of a straight line is 6e-8. */
    private static final int STEPS = 1024;
    private static final double[] POWERS = new double[STEPS + 1];
    /** Odds below 2^-60 are never drawn. */
    private static final double LEAST = -60;

    static {
        for (int i = 0; i <= STEPS; i++) POWERS[i] = Math.pow(2, i / (double) STEPS);
    }

    private double[] of = new double[0];
    private int n;
    private double total;

    /**
     * Weighs the row {@code logits[at .. at + vocabulary)}.
     *
     * @throws IllegalStateException if no score is a number
     */
    void weigh(float[] logits, int at, int vocabulary, double temperature) {
        if (of.length < vocabulary) of = new double[vocabulary];
        n = vocabulary;
        float best = Float.NEGATIVE_INFINITY;
        for (int i = 0; i < n; i++) best = Math.max(best, logits[at + i]);
        double scale = 1 / (temperature * Math.log(2));
        total = 0;
        for (int i = 0; i < n; i++) {
            double y = ((double) logits[at + i] - best) * scale;
            double odds = y > LEAST ? power(y) : 0;
            of[i] = odds;
            total += odds;
        }
        if (!(total > 0)) throw new IllegalStateException("no token can be drawn: the scores of the model are not numbers");
    }

    /** {@code 2^y} for y in {@link #LEAST} to 0. */
    private static double power(double y) {
        double steps = (y - LEAST) * STEPS;
        int whole = (int) steps;
        double low = POWERS[whole % STEPS];
        double mantissa = low + (steps - whole) * (POWERS[whole % STEPS + 1] - low);
        return mantissa * Double.longBitsToDouble((long) (1023 + (int) LEAST + whole / STEPS) << 52);
    }

    /** A token, each with its chance. */
    int draw(double random) {
        double left = random * total;
        int last = 0;
        for (int i = 0; i < n; i++) {
            if (of[i] == 0) continue;
            left -= of[i];
            last = i;
            if (left < 0) return i;
        }
        return last;
    }

    /** A token of the nucleus of all, as {@link Nucleus} has it. */
    int draw(double topP, double minP, float[] logits, int at, double random) {
        // only tokens above a bar are sorted; it falls until those above it suffice: what is below the last bar cannot reach 1 - topP of all
        double lowest = Math.max(minP, (1 - topP) * total / n);
        double bar = Math.max(lowest, 1.0 / 64);
        while (bar > lowest && mass(bar) < topP * total) bar = Math.max(lowest, bar / 64);
        Candidates c = Candidates.above(logits, at, n, of, bar, count(bar));
        double[] odds = new double[c.size()];
        for (int i = 0; i < odds.length; i++) odds[i] = of[c.token(i)];
        return c.token(new Nucleus(topP, minP).draw(odds, total, random));
    }

    private int count(double bar) {
        int above = 0;
        for (int i = 0; i < n; i++) above += of[i] >= bar ? 1 : 0;
        return above;
    }

    private double mass(double bar) {
        double sum = 0;
        for (int i = 0; i < n; i++) sum += of[i] >= bar ? of[i] : 0;
        return sum;
    }
}
