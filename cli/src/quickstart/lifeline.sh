# Runs a program in this process group, and ends the whole group when the lifeline, stdin, closes: at the latest when
# the process that holds its other end dies, however it dies.
# Arguments: tenths of a second from SIGTERM to SIGKILL, log file, program and its arguments.
grace=$1 log=$2
shift 2
exec 3<&0 </dev/null

"$@" >>"$log" 2>&1 3<&- &
program=$!

# Outlives the program: while it is there, the group's number belongs to nobody else. Holding stdout open, it also
# tells when the group has ended.
(
    trap '' TERM
    read -r _ <&3
    kill -TERM 0
    while [ "$grace" -gt 0 ] && kill -0 "$program"; do
        sleep 0.1
        grace=$((grace - 1))
    done
    kill -KILL 0
) 2>/dev/null &
exec 3<&-

trap : TERM
while :; do
    wait "$program"
    status=$?
    kill -0 "$program" 2>/dev/null || exit "$status"
done
