package dev.lacuna.server;

import tools.jackson.databind.JsonNode;

/** Reads token ids. */
final class TokenIds {
    private TokenIds() {}

    /**
     * A list of ids.
     *
     * @throws ApiException for an id that the vocabulary does not have
     */
    static int[] read(Fields f, String field, JsonNode list, int vocabulary) {
        int[] ids = new int[list.size()];
        for (int i = 0; i < ids.length; i++) {
            JsonNode id = list.get(i);
            if (!id.isIntegralNumber() || !id.canConvertToInt() || id.intValue() < 0 || id.intValue() >= vocabulary) {
                throw f.wrong(field, "must have whole numbers within 0.." + (vocabulary - 1) + " for token ids");
            }
            ids[i] = id.intValue();
        }
        return ids;
    }
}
