#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Keys: shown, rotated, made; a key file that is changed, wrong or open to others; and the secret stays one.
. "$(dirname "$0")/lib/lib.sh"

KEY=$TMP/fleet.key
INSIDE=(nsenter --net="/run/netns/$LAB-server" --)
shakeoff() { server "$BUILD/shakeoff" "$@"; }
show() { shakeoff key show --json | json "keys.0.$1"; }
generate() { (umask 077 && "$BUILD/shakeoff" key generate >"$KEY.new") && mv "$KEY.new" "$KEY"; }
says() { soon grep -qE -- "$1" "$TMP/shakeoffd.log"; }
# Where each of the four keys comes from, previous to next but one.
sources() { shakeoff key show --json | python3 -c '
import json, sys
print(*(slot["fingerprint"] or "random" for slot in json.load(sys.stdin)["keys"][0]["slots"]))'; }
fresh() { shakeoff key show --json | python3 -c '
import json, sys
keys = json.load(sys.stdin)["keys"][0]
print(all(slot["made_for"] == slot["epoch"] == keys["epoch"] - 1 + i for i, slot in enumerate(keys["slots"])))'; }
# Not so near to the end of an epoch that it would end in the middle of a comparison.
far_from_the_end() { [ "$(show next_epoch_ms)" -ge 15000 ]; }
mid_epoch() { within 60 far_from_the_end || bail "the epoch does not end"; }

# ------------------------------------------------------------------------------------------------------------- random

lab_up
refuses "key rotate: nothing is attached" 'not attached' "${INSIDE[@]}" "$BUILD/shakeoff" key rotate
shakeoff attach s0 >/dev/null
is "before a daemon has run there are no keys, nor a source of them" "$(show loaded)/$(show source)" false/null
shakeoff detach s0 >/dev/null
config line 7000
daemon_start
server_start line "$SERVER4" 7000 line

mid_epoch
is "random keys: the source" "$(show source)/$(show fingerprint)" random/null
is "random keys: every slot has the key of its epoch" "$(fresh)" True
is "epochs are those of the wall clock" $(($(show epoch) - $(date +%s) / 64)) 0
matches "shown to people" "$(shakeoff key show)" '^Source +random$'
check "key rotate succeeds" shakeoff key rotate
is "and tells from which epoch on" \
	"$(shakeoff key rotate | sed 's/.*from epoch \([0-9]*\) on.*/\1/')" $(($(show epoch) + 1))
is "clients notice nothing" "$(connections "$SERVER4" 7000 50 | cut -d/ -f1,2)" 0/0
daemon_kill
sleep 2.1
refuses "key rotate: no daemon" 'shakeoffd does not run' "${INSIDE[@]}" "$BUILD/shakeoff" key rotate
matches "key show needs none" "$(shakeoff key show)" '^Source +random$'

# --------------------------------------------------------------------------------------------------------- a key file

generate
is "key generate prints 64 digits" "$(tr -d '0-9a-f' <"$KEY" | wc -c)/$(wc -c <"$KEY")" 1/65
is "every time others" "$({ "$BUILD/shakeoff" key generate && "$BUILD/shakeoff" key generate; } | sort -u | wc -l)" 2

config line 7000
sed -i "s|^\[daemon\]|[daemon]\nkey-file = $KEY|" "$CONF"
chmod 644 "$KEY"
refuses "a key file open to others is refused" 'fleet.key: is open to others: chmod 600' \
	"${INSIDE[@]}" "$BUILD/shakeoffd" --config "$CONF" --run-dir "$RUN"
chmod 600 "$KEY"
ln -s fleet.key "$TMP/link"
sed "s|$KEY|$TMP/link|" "$CONF" >"$TMP/link.conf"
refuses "so is a symbolic link" 'link: is a symbolic link' \
	"${INSIDE[@]}" "$BUILD/shakeoffd" --config "$TMP/link.conf" --run-dir "$RUN"

mid_epoch
daemon_start
first=$(show fingerprint)
is "from random keys to a file: what cookies are out under stays" "$(sources)" "random random $first $first"
is "the source" "$(show source)" file
refuses "key rotate: keys from a file change with the file" 'put a new key .* into the file of every host' \
	"${INSIDE[@]}" "$BUILD/shakeoff" key rotate
daemon_stop
daemon_start
is "clients are served" "$(connections "$SERVER4" 7000 50 | cut -d/ -f1,2)" 0/0

mid_epoch
generate
check "a changed file is read again" says 'a new key, [0-9a-f]{16}'
second=$(show fingerprint)
is "and counts from the next epoch on" "$([ "$first" != "$second" ] && sources | cut -d' ' -f2-)" "$first $second $second"
is "clients notice nothing of it" "$(connections "$SERVER4" 7000 50 | cut -d/ -f1,2)" 0/0

echo "no key" >"$KEY"
check "a wrong file is complained of" says 'is not one line .*the key that was read before stays'
rm "$KEY"
check "so is a missing one" says 'cannot be opened: No such file or directory; the key that was read before stays'
is "the key stays" "$(show fingerprint)" "$second"
generate
check "until there is a good one" soon sh -c "[ \$(grep -c 'a new key' $TMP/shakeoffd.log) = 2 ]"
is "once each" "$(grep -c 'read before stays' "$TMP/shakeoffd.log")" 2

# ------------------------------------------------------------------------------------------------------------- secrecy

# The secret and its digits are in no page of the daemon that a core dump would hold; in one that it does not hold there is the secret.
memory=$(python3 - "$DAEMON_PID" "$KEY" <<'EOT'
import re, sys
pid, path = sys.argv[1:]
digits = open(path, "rb").read().strip()
wanted = {"secret": bytes.fromhex(digits.decode()), "digits": digits}
found = set()
span = flags = None
with open(f"/proc/{pid}/smaps") as smaps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
    for line in smaps:
        if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line):
            span, readable = (int(match[1], 16), int(match[2], 16)), match[3][0] == "r"
        elif line.startswith("VmFlags:") and readable:
            try:
                memory.seek(span[0])
                content = memory.read(span[1] - span[0])
            except OSError:
                continue
            found |= {(name, "left out" if " dd" in line else "dumped") for name in wanted if wanted[name] in content}
print(*sorted(found))
EOT
)
is "in memory the secret is where core dumps leave it out, and its digits are nowhere" "$memory" "('secret', 'left out')"
is "what is printed and logged holds nothing of it" \
	"$({ cat "$TMP/shakeoffd.log" && shakeoff key show && shakeoff key show --json && shakeoff status; } | grep -c "$(cut -c 1-16 "$KEY")")" 0
