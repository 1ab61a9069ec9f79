package dev.lacuna.server;

import org.jspecify.annotations.Nullable;

/** An answer in OpenAI's error shape. Its message is for the client: no path, key, prompt or address of this machine. */
final class ApiException extends RuntimeException {
    private static final long serialVersionUID = 1;

    final int status;
    final String type;
    final @Nullable String code;
    final @Nullable String param;
    final int retryAfter; // seconds; 0: not told

    private ApiException(int status, String type, @Nullable String code, @Nullable String param, String message, int retryAfter) {
        super(message, null, false, false); // expected: no stack trace
        this.status = status;
        this.type = type;
        this.code = code;
        this.param = param;
        this.retryAfter = retryAfter;
    }

    static ApiException invalid(@Nullable String param, String message) {
        return new ApiException(400, "invalid_request_error", "invalid_value", param, message, 0);
    }

    static ApiException unsupported(String param, String message) {
        return new ApiException(400, "invalid_request_error", "unsupported_parameter", param, message, 0);
    }

    static ApiException tooLong(String message) {
        return new ApiException(400, "invalid_request_error", "context_length_exceeded", "messages", message, 0);
    }

    static ApiException unauthorized(String message) {
        return new ApiException(401, "authentication_error", "invalid_api_key", null, message, 0);
    }

    static ApiException forbidden(String code, String message) {
        return new ApiException(403, "permission_error", code, null, message, 0);
    }

    static ApiException noModel(String message) {
        return new ApiException(404, "invalid_request_error", "model_not_found", "model", message, 0);
    }

    static ApiException notFound(String message) {
        return new ApiException(404, "invalid_request_error", "not_found", null, message, 0);
    }

    /** Any other refusal of what the client sent. */
    static ApiException refused(int status, String code, String message) {
        return new ApiException(status, "invalid_request_error", code, null, message, 0);
    }

    static ApiException tooMany(String message, int retryAfter) {
        return new ApiException(429, "rate_limit_error", "queue_full", null, message, retryAfter);
    }

    static ApiException unavailable(String code, String message, int retryAfter) {
        return new ApiException(503, "server_error", code, null, message, retryAfter);
    }

    static ApiException failed(String message) {
        return new ApiException(500, "server_error", "internal_error", null, message, 0);
    }

    static ApiException slow(String message) {
        return new ApiException(504, "server_error", "generation_timeout", null, message, 0);
    }

    ErrorReply reply() {
        return new ErrorReply(new ErrorReply.Detail(getMessage(), type, param, code));
    }
}
