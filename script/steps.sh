# Shared by the scripts of this folder: one line a step, with ticks while it works and the time
# that it took. Sourced by bash; expects to run in the checkout's root folder.

STEP_LOGS=.tools/log
mkdir -p "$STEP_LOGS"

# A step works in the background, out of an interrupt's reach: pass it on.
STEP_WORKER=
stop_step() {
    if [ -n "$STEP_WORKER" ]; then kill -- "-$STEP_WORKER" 2>/dev/null || true; fi
    exit 130
}
trap stop_step INT TERM

# elapsed START: seconds since START (EPOCHREALTIME), with one decimal
elapsed() {
    local now=${EPOCHREALTIME/[.,]/} start=${1/[.,]/}
    local tenths=$(((now - start) / 100000))
    printf '%d.%d s' $((tenths / 10)) $((tenths % 10))
}

# fail SENTENCE: say why, and stop
fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

# step LABEL COMMAND...: run a command with its output kept in a log; print the label, a dot every
# two seconds, and the outcome. Returns the command's exit status; STEP_LOG names the log.
step() {
    local label=$1 start=$EPOCHREALTIME status=0 dots=0
    shift
    STEP_LOG=$STEP_LOGS/$(printf '%s' "$label" | tr -c 'A-Za-z0-9' '-').log
    printf '  %-44s ' "$label"
    set -m # a process group of its own, so that it can be stopped with its children
    "$@" >"$STEP_LOG" 2>&1 </dev/null &
    STEP_WORKER=$!
    set +m
    while kill -0 "$STEP_WORKER" 2>/dev/null; do
        sleep 0.1
        dots=$((dots + 1))
        if [ $((dots % 20)) -eq 0 ]; then printf '.'; fi
    done
    wait "$STEP_WORKER" || status=$?
    STEP_WORKER=
    if [ "$status" -eq 0 ]; then
        printf ' ok  %s\n' "$(elapsed "$start")"
    else
        printf ' FAILED  %s\n' "$(elapsed "$start")"
    fi
    return "$status"
}
