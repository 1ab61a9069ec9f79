package dev.lacuna.ops;

/** A device has no room for what was to be placed or allocated; the message says how much there is and what would fit. */
public final class DeviceMemoryException extends RuntimeException {
    private static final long serialVersionUID = 1;

    public DeviceMemoryException(String message) {
        super(message);
    }
}
