# SPDX-License-Identifier: Apache-2.0
# The leader of a group of processes (sim/processes.py): runs the command that it is given, and ends the whole group when its
# own input is closed. Nobody writes to that, and the process that started this one alone holds its other end.
# Some shells give a background command /dev/null for its input, so it is kept as 3.
exec 3<&0 </dev/null
exec "$@" 3<&- &
command=$!
{ read -r _; kill -KILL 0; } <&3 &
watch=$!
wait "$command" 2>/dev/null
code=$?
kill -KILL "$watch"
wait "$watch" 2>/dev/null
exit "$code"
