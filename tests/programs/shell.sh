#!/bin/bash
# needs: bash sort sleep
# bash itself: jobs, traps, arrays, here-documents, process substitution, coprocesses.
set -u
export LC_ALL=C

fib() {
	local a=0 b=1 i t
	for ((i = 0; i < $1; i++)); do
		t=$((a + b)) a=$b b=$t
	done
	echo "$a"
}

for i in {1..8}; do
	(
		sleep "0.0$i"
		echo "job $i $(fib $((i * 8)))"
	) &
done | sort
declare -A squares
for ((i = 0; i < 200; i++)); do
	squares[n$i]=$((i * i))
done
echo "squares: ${#squares[@]} ${squares[n77]}"

trap 'got=$((got + 1))' USR1
got=0
for i in 1 2 3; do
	kill -USR1 $$
done
echo "signals: $got"
echo @save@
sum=0
for ((i = 0; i < 20000; i++)); do
	((sum = (sum * 31 + i) % 1000003))
done
echo "sum: $sum"

coproc bc_like { while read -r a op b; do echo $((a $op b)); done; }
for q in "3 + 4" "100 - 58" "12 * 12"; do
	echo "$q" >&"${bc_like[1]}"
	read -r answer <&"${bc_like[0]}"
	echo "$q = $answer"
done
exec {bc_like[1]}>&-
wait

paste_like() {
	while read -r l <&3 && read -r r <&4; do
		echo "$l/$r"
	done 3< <(printf '%s\n' a b c) 4< <(printf '%s\n' x y z)
}
paste_like
cat << END | while read -r line; do echo "> $line"; done
here $((6 * 7))
document $(fib 30)
END
(exit 7)
echo "status: $?"
bash -c 'kill -KILL $$'
echo "killed: $?"
( trap 'echo "exit trap"' EXIT; exit 3 )
echo "status: $?"
printf '%s\n' "${BASH_VERSINFO[0]}" | grep -q '[45]' && echo "bash"
sleep 100 &
kill $!
wait $! 2> /dev/null
echo "job: $?"
