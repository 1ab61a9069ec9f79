package dev.lacuna.server;

import com.fasterxml.jackson.annotation.JsonInclude;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.exc.StreamConstraintsException;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.PropertyNamingStrategies;
import tools.jackson.databind.json.JsonMapper;

/** JSON as it is read and written here: snake case, absent instead of null, no duplicate keys, bounded in depth and number of values. */
final class Wire {
    private static final int DEPTH = 64;
    private static final int NAME = 1024;
    private static final int DIGITS = 64;
    private static final int TOKENS = 1 << 18; // each becomes an object on the heap

    private final JsonMapper mapper;

    Wire(int longestText) {
        StreamReadConstraints constraints = StreamReadConstraints.builder().maxNestingDepth(DEPTH).maxNameLength(NAME)
                .maxNumberLength(DIGITS)
                .maxStringLength(longestText).maxTokenCount(TOKENS).build();
        JsonFactory factory = JsonFactory.builder().streamReadConstraints(constraints).enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                .build();
        mapper = JsonMapper.builder(factory).propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
                .changeDefaultPropertyInclusion(v -> v.withValueInclusion(JsonInclude.Include.NON_NULL))
                .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();
    }

    /**
     * Reads an object.
     *
     * @throws ApiException if it is not one; the message quotes nothing of it
     */
    JsonNode read(byte[] bytes) {
        if (bytes.length == 0) throw ApiException.invalid(null, "the body is empty; a JSON object is expected");
        JsonNode node;
        try {
            node = mapper.readTree(bytes);
        } catch (StreamConstraintsException e) {
            throw ApiException.invalid(null, "the body is nested deeper than " + DEPTH + " levels, has more than " + TOKENS
                    + " values, a name longer than " + NAME + " characters or a number of more than " + DIGITS + " digits");
        } catch (JacksonException e) {
            var at = e.getLocation();
            String where = at == null || at.getLineNr() < 1 ? "" : " at line " + at.getLineNr() + ", column " + at.getColumnNr();
            throw ApiException.invalid(null, "the body is not well-formed JSON in UTF-8 without duplicate keys" + where);
        }
        if (!node.isObject()) throw ApiException.invalid(null, "the body must be a JSON object");
        return node;
    }

    byte[] write(Object value) {
        return mapper.writeValueAsBytes(value);
    }
}
