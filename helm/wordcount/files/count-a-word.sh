# `helm test`: sends one text and waits until its word is counted once more. The input topic keeps the text.
set -eu

count() {
    # The exit code is 1 for a word that does not occur, whose answer has no count.
    { wordcount get "$TEST_WORD" --url "$TEST_URL" --json || true; } | python -c '
import json, sys

text = sys.stdin.read()
if not text:
    sys.exit("no worker answered")
print(json.loads(text).get("count", 0))'
}

before=$(count)
printf '%s\n' "$TEST_TEXT" | wordcount produce
for _ in $(seq 60); do
    after=$(count)
    if [ "$after" -gt "$before" ]; then
        echo "\"$TEST_WORD\" was counted: $before, now $after"
        exit 0
    fi
    sleep 1
done
echo "\"$TEST_WORD\" was sent and not counted within 60 s: $before, now $after" >&2
exit 1
