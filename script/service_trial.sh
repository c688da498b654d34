#!/bin/sh
# Runs inside the booted machine of script/try_service: the unit against the sandbox. Ends with 1 at the first surprise.
set -eu
watch=rebalancer-watch

see() { # see WHAT SEEN [WANTED]
    echo "$1: $2"
    [ $# -lt 3 ] || [ "$2" = "$3" ] || { echo "wanted: $3"; journalctl --no-pager -o cat -u $watch | tail -40; exit 1; }
}
property() { systemctl show $watch --property="$1" --value; }
until_it_is() { # until_it_is PROPERTY VALUE
    for _ in $(seq 300); do
        [ "$(property "$1")" != "$2" ] || return 0
        sleep 0.1
    done
    see "$1" "$(property "$1")" "$2"
}
status() { runuser -u rebalancer -- /opt/ibkr-rebalancer/bin/rebalancer status --json --state /var/lib/ibkr-rebalancer; }

systemd-sysusers rebalancer.conf
systemd-analyze verify --man=no --recursive-errors=yes $watch.service rebalancer-dry-run.service rebalancer-dry-run.timer
systemctl start sandbox
until /opt/ibkr-rebalancer/bin/python -c 'import socket; socket.create_connection(("127.0.0.1", 4002), 1)' 2>/dev/null; do
    sleep 0.2
done
systemctl start $watch
see "started, by its own READY=1" "$(property ActiveState)" active
see "status" "$(property StatusText)"
see "user" "$(stat -c %U /proc/"$(property MainPID)")" rebalancer
see "state folder" "$(stat -c '%U %a' /var/lib/ibkr-rebalancer)" "rebalancer 700"
status >/dev/null
see "a person's command, as the same user, sees it" "$?" 0
see "the key in its environment" "$(tr '\0' '\n' </proc/"$(property MainPID)"/environ | grep -c watcher-secret || true)" 0

kill -STOP "$(property MainPID)"
echo "its loop is stopped"
until_it_is NRestarts 1
until_it_is ActiveState active
see "killed by the watchdog and started again" "$(property NRestarts)" 1

systemctl stop $watch
see "stopped" "$(property Result), $(property ActiveState)" "success, inactive"
systemctl start rebalancer-dry-run
see "a dry run from the timer's unit" "$(systemctl show rebalancer-dry-run --property=Result --value)" success
see "keys in the journal" "$(journalctl --no-pager -u $watch -u rebalancer-dry-run | grep -c -e watcher-secret -e sandbox-key || true)" 0
