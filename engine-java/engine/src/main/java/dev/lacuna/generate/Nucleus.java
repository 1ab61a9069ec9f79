package dev.lacuna.generate;

/**
 * The fewest best candidates whose odds together reach {@code topP} of all (Holtzman et al., 2020), less those that have not {@code minP} of the best's;
 * the best is always among them.
 */
record Nucleus(double topP, double minP) {
    /**
     * One of them, each with its chance.
     *
     * @param odds   relative to the best, in falling order, the first 1
     * @param total  odds of all, of those too that are no candidates
     * @param random 0 to 1
     */
    int draw(double[] odds, double total, double random) {
        int keep = 1;
        double kept = odds[0];
        while (keep < odds.length && odds[keep] >= minP * odds[0] && kept < topP * total) kept += odds[keep++];
        double left = random * kept;
        for (int i = 0; i < keep - 1; i++) {
            left -= odds[i];
            if (left < 0) return i;
        }
        return keep - 1;
    }
}
