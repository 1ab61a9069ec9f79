package dev.lacuna.text;

import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import java.util.Map;

/** The part of strftime that templates use, in English. */
final class Clock {
    private static final Map<Character, String> PATTERNS = Map.ofEntries(Map.entry('Y', "uuuu"), Map.entry('y', "uu"), Map.entry('m', "MM"),
            Map.entry('d', "dd"), Map.entry('H', "HH"), Map.entry('I', "hh"), Map.entry('M', "mm"), Map.entry('S', "ss"),
            Map.entry('B', "MMMM"),
            Map.entry('b', "MMM"), Map.entry('A', "EEEE"), Map.entry('a', "EEE"), Map.entry('p', "a"), Map.entry('j', "DDD"));

    private Clock() {}

    static String format(LocalDateTime time, String format, Budget budget) {
        budget.work(format.length());
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < format.length(); i++) {
            char c = format.charAt(i);
            if (c != '%') {
                out.append(c);
                continue;
            }
            boolean unpadded = i + 1 < format.length() && format.charAt(i + 1) == '-';
            i += unpadded ? 2 : 1;
            char directive = i < format.length() ? format.charAt(i) : ' ';
            String pattern = PATTERNS.get(directive);
            if (pattern != null) {
                String text = time.format(DateTimeFormatter.ofPattern(pattern, Locale.ENGLISH));
                out.append(unpadded && text.length() > 1 && text.charAt(0) == '0' ? text.replaceFirst("^0+(?=.)", "") : text);
            } else if (directive == '%') {
                out.append('%');
            } else {
                throw budget.fail("strftime_now does not know %" + directive);
            }
        }
        return out.toString();
    }
}
