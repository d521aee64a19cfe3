#!/bin/bash
# needs: bash script unshare mount sshd ssh ssh-keygen scp sftp setpriv md5sum cmp tee head stty
# sshd, and sessions of all kinds in it that live through two checkpoints: a terminal, a download that
# is stuck half-way, an upload under way, a connection that is forwarded to sshd itself, all of them
# but one over a shared connection, which passes descriptors.
if [ "$(id -u)" != 0 ]; then
	echo "sshd needs root to make anybody else of itself"
	exit 77
fi
if [ $# = 0 ]; then
	# The user, the login records and /run/sshd are this name space's alone.
	unshare -m true 2> /dev/null || { echo "no name space of mounts"; exit 77; }
	exec unshare -m "$BASH" "$0" within
fi
. "$(dirname "$0")/lib/server.sh"

save() {
	echo @save@
	read -r answer
	answer=
}

# Here as in the sandbox: nobody reads what root and its machine have in their configuration.
chmod 755 "$dir"
mkdir -m 755 "$dir/home"
chown 54321:54321 "$dir/home"
echo "tester:x:54321:54321::$dir/home:/bin/bash" | cat /etc/passwd - > "$dir/passwd"
echo "tester:x:54321:" | cat /etc/group - > "$dir/group"
chmod 644 "$dir/passwd" "$dir/group"
mount --bind "$dir/passwd" /etc/passwd
mount --bind "$dir/group" /etc/group
mount -t tmpfs none /run
mount -t tmpfs none /var/log
mkdir -m 755 /run/sshd
: > /run/utmp
: > /var/log/wtmp
ssh-keygen -q -t ed25519 -N '' -C host -f "$dir/hostkey"
ssh-keygen -q -t ed25519 -N '' -C tester -f "$dir/key"
cp "$dir/key.pub" "$dir/authorized"
chmod 644 "$dir/authorized"
echo "[127.0.0.1]:$port $(cat "$dir/hostkey.pub")" > "$dir/known"
cat > "$dir/sshd_config" << END
ListenAddress 127.0.0.1:$port
HostKey $dir/hostkey
KexAlgorithms curve25519-sha256
PidFile none
AuthorizedKeysFile $dir/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
PrintLastLog no
Subsystem sftp internal-sftp
LogLevel VERBOSE
END
cat > "$dir/config" << END
Host tested
HostName 127.0.0.1
Host forwarded
HostKeyAlias [127.0.0.1]:$port
HostName 127.0.0.1
Host *
Port $port
User tester
IdentityFile $dir/key
IdentitiesOnly yes
UserKnownHostsFile $dir/known
GlobalKnownHostsFile none
BatchMode yes
LogLevel ERROR
ControlPath $dir/shared
END
alone="-F $dir/config -o ControlPath=none"

listening() {
	(exec 7<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null
}

session() {
	ssh -n -F "$dir/config" tested "$@"
}

"$(command -v sshd)" -D -E "$dir/log" -f "$dir/sshd_config" &
server=$!
until_true grep -q 'Server listening' "$dir/log"
ssh $alone tested 'id -un; id -u; echo "$HOME" | sed s,.*/,,; cat; exit 7' <<< "standard input"
echo "a command: $?"
ssh -n -o UserKnownHostsFile=/dev/null $alone tested true 2> /dev/null
echo "a stranger: $?"

head -c 6000000 /dev/urandom > "$dir/data"
chmod 644 "$dir/data"
ssh -F "$dir/config" -M -N -L "$((port + 1)):127.0.0.1:$port" \
	-R "$((port + 2)):127.0.0.1:$port" tested &
master=$!
until_true session true
until_true listening $((port + 1))
until_true listening $((port + 2))

# stuck: its reader takes nothing until the checkpoints are over.
mkfifo "$dir/goon"
session cat "$dir/data" | {
	head -c 1000000
	read -r answer < "$dir/goon"
	cat
} > "$dir/stuck" &
stuck=$!
# flowing: until the checkpoints are over, then so much and no more.
{
	while [ ! -e "$dir/over" ]; do
		head -c 100000 "$dir/data"
	done
	cat "$dir/data"
} | tee "$dir/sent" | ssh $alone -p $((port + 1)) forwarded 'md5sum; exit 3' > "$dir/received" &
flowing=$!
# terminal: the same, with an answer for each line that is typed.
coproc terminal {
	script -q -e -c "ssh -F $dir/config -t tested 'stty -echo; echo ready; exec bash --norc --noprofile --noediting'" /dev/null
}
shell=$terminal_PID
# Background commands don't get the descriptors of a coprocess.
exec 5<&"${terminal[0]}" 6>&"${terminal[1]}"
eval "exec ${terminal[0]}<&- ${terminal[1]}>&-"
# next_line WORDS: drops lines until there is one with these words.
next_line() {
	while read -r line <&5; do
		line=${line%$'\r'}
		[[ $line == *"$1"* ]] && return
	done
}

next_line ready
echo 'PS1=; PS2=; echo "a terminal of $(stty size | wc -w) numbers"' >&6
next_line 'a terminal of'
echo "a terminal ${line#*a terminal }"
dialogue() {
	local n line
	for ((n = 1; ; n++)); do
		echo "echo \$(($n * $n))" >&6
		read -r line <&5
		[ "$line" = $((n * n))$'\r' ] || { echo "asked for $n * $n, got $line"; return 1; }
		[ -e "$dir/over" ] && [ $n -ge 20 ] && return 0
	done
}
dialogue &
dialogue=$!
save
session 'echo a new session; kill -TERM $$'
echo "a signal: $?"
save
touch "$dir/over"
echo > "$dir/goon"
wait $dialogue
echo "dialogue: $?"
# Ctrl-C ends what is in the foreground, Ctrl-D the shell.
echo 'echo sleeping; sleep 1000' >&6
next_line sleeping
until_true pgrep -u 54321 -x sleep
printf '\003' >&6
echo 'echo "interrupted: $?"' >&6
next_line interrupted:
echo "$line"
echo 'exit 5' >&6
wait $shell
echo "the terminal's shell: $?"
wait $stuck
cmp "$dir/data" "$dir/stuck" && echo "the download: whole"
wait $flowing
echo "the upload: $?"
md5sum < "$dir/sent" | cmp - "$dir/received" && echo "the upload: whole"

cat > "$dir/batch" << END
put $dir/data $dir/home/put
rename $dir/home/put $dir/home/renamed
symlink renamed $dir/home/link
mkdir $dir/home/folder
get $dir/home/link $dir/got
rm $dir/home/renamed
rmdir $dir/home/folder
END
sftp -q -b "$dir/batch" -F "$dir/config" tested > /dev/null
echo "sftp: $?"
cmp "$dir/data" "$dir/got" && ls "$dir/home"
scp -q -P $((port + 2)) $alone "$dir/data" forwarded:copied && cmp "$dir/data" "$dir/home/copied" && echo "scp: whole"
ssh -F "$dir/config" -O exit tested 2> /dev/null
wait $master
echo "shared connection: $?"
kill -TERM "$server"
wait "$server"
echo "sshd: $?"
server=
grep -ciE 'fatal|error|fail' "$dir/log"
exit 0
