#!/bin/sh
# The routes by curl: LACUNA_URL (without /v1), LACUNA_KEY, LACUNA_MODEL. Ends at the first answer that is not as it should be.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
count=0

# expect STATUS PATTERN CURL-ARGUMENTS...: the status, and a pattern that the answer's headers and body have
expect() {
    status=$1 pattern=$2
    shift 2
    got=$(curl -sS -m 60 -o "$scratch/body" -D "$scratch/head" -w '%{http_code}' "$@") || { echo "curl $* failed"; exit 1; }
    cat "$scratch/head" "$scratch/body" >"$scratch/all"
    if [ "$got" != "$status" ] || ! grep -qiE -- "$pattern" "$scratch/all"; then
        echo "expected $status with $pattern from: curl $*"
        cat "$scratch/all"
        exit 1
    fi
    count=$((count + 1))
}

key="Authorization: Bearer $LACUNA_KEY"
json='Content-Type: application/json'
chat=$LACUNA_URL/v1/chat/completions
ask() { printf '{"model":"%s","messages":[{"role":"user","content":"Hello"}],"max_tokens":8,"temperature":0%s}' "$LACUNA_MODEL" "$1"; }

expect 200 '"status"' "$LACUNA_URL/health/live"
expect 401 'www-authenticate: *Bearer' "$LACUNA_URL/health/ready"
expect 401 'invalid_api_key' "$LACUNA_URL/v1/models"
expect 401 'invalid_api_key' -H 'Authorization: Bearer wrong' "$LACUNA_URL/v1/models"
expect 200 '"ok"' -H "$key" "$LACUNA_URL/health/ready"
expect 200 "\"id\":\"$LACUNA_MODEL\"" -H "$key" "$LACUNA_URL/v1/models"
expect 200 '"completion_tokens":8' -H "$key" -H "$json" "$chat" -d "$(ask '')"
expect 200 'x-lacuna-ignored-fields: surprise' -H "$key" -H "$json" "$chat" -d "$(ask ',"surprise":1')"
expect 200 '^data: \[DONE\]' -N -H "$key" -H "$json" "$chat" -d "$(ask ',"stream":true')"
expect 200 'text/event-stream' -N -H "$key" -H "$json" "$chat" -d "$(ask ',"stream":true')"
expect 200 '"usage":\{"prompt_tokens":[0-9]+' -N -H "$key" -H "$json" "$chat" -d "$(ask ',"stream":true,"stream_options":{"include_usage":true}')"
expect 400 'unsupported_parameter' -H "$key" -H "$json" "$chat" -d "$(ask ',"tools":[{}]')"
expect 400 '"param":"temperature"' -H "$key" -H "$json" "$chat" -d '{"messages":[{"role":"user","content":"x"}],"temperature":9}'
expect 400 'well-formed JSON' -H "$key" -H "$json" "$chat" -d '{"messages":'
expect 404 'model_not_found' -H "$key" -H "$json" "$chat" -d '{"model":"none","messages":[{"role":"user","content":"x"}]}'
expect 404 'not_found' -H "$key" "$LACUNA_URL/none"
expect 405 'allow: *POST' -H "$key" "$chat"
expect 415 'unsupported_media_type' -H "$key" "$chat" -d "$(ask '')"
expect 403 'host_not_allowed' -H "$key" -H 'Host: evil.example' "$LACUNA_URL/v1/models"
expect 403 'origin_not_allowed' -H "$key" -H 'Origin: https://evil.example' "$LACUNA_URL/v1/models"
expect 200 '"count":' -H "$key" -H "$json" "$LACUNA_URL/tokenize" -d '{"content":"Once upon a time"}'
expect 200 '"prompt":' -H "$key" -H "$json" "$LACUNA_URL/apply-template" -d "$(ask '')"
expect 200 'vllm:num_requests_waiting' -H "$key" "$LACUNA_URL/metrics"
expect 200 '"version"' -H "$key" "$LACUNA_URL/version"
expect 200 '"openapi"' -H "$key" "$LACUNA_URL/openapi.json"
expect 200 'content-security-policy' -u ":$LACUNA_KEY" -H 'Accept: text/html' "$LACUNA_URL/"
head -c 5000000 /dev/zero | tr '\0' 'x' >"$scratch/large"
expect 413 'invalid_request_error' -H "$key" -H "$json" "$chat" --data-binary @"$scratch/large"
echo "$count answers as they should be"
