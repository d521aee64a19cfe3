#!/bin/bash
# needs: bash git awk md5sum sort /usr/lib/git-core/git-daemon /usr/lib/git-core/git-fast-import
# Git: a repository of some hundred commits, cloned and pushed to over git-daemon, packed anew by
# threads, checked; with checkpoints while a clone is stuck half-way, in the middle of the packing,
# and while many clients commit and push.
. "$(dirname "$0")/lib/server.sh"
export HOME=$dir GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=$dir/config GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_DATE='1700000000 +0100' GIT_COMMITTER_DATE='1700000000 +0100'

save() {
	echo @save@
	read -r answer
	answer=
}

git config --global user.name Tester
git config --global user.email tester@example.org
git config --global init.defaultBranch main
git config --global gc.auto 0
git config --global receive.autoGC false
git config --global pack.threads 2
git config --global safe.directory '*'

# history FILES COMMITS: a stream for fast-import; the text is as irregular as words are.
history() {
	awk -v files="$1" -v commits="$2" '
	function text(seed, lines,   s, i, j) {
		s = ""
		for (i = 0; i < lines; i++) {
			for (j = 0; j < 8; j++) {
				seed = (seed * 1103 + 12345) % 65537
				s = s sprintf("%x ", seed)
			}
			s = s "\n"
		}
		return s
	}
	function data(s) { printf "data %d\n%s\n", length(s), s }
	BEGIN {
		for (f = 0; f <= files + 1; f++)
			head[f] = text(f, 60)
		for (c = 1; c <= commits; c++) {
			print "commit refs/heads/main\ncommitter Tester <tester@example.org> " 1600000000 + c " +0000"
			data("change " c)
			for (f = c == 1 ? 1 : 0; f <= (c == 1 ? files : 2); f++) {
				name = c == 1 ? f : (c * 7 + f * 13) % files + 1
				printf "M 100644 inline dir%d/file%d\n", name % 10, name
				data(head[name] text(c * 31 + f, 10 + c % 40) head[name + 1])
			}
			if (c % 50 == 0) {
				printf "tag v%d\nfrom refs/heads/main\ntagger Tester <tester@example.org> %d +0000\n",
					c, 1600000000 + c
				data("release " c)
			}
		}
	}'
}

git init -q --bare "$dir/origin.git"
cd "$dir/origin.git" || exit 1
history 40 200 | git fast-import --quiet
echo "imported: $? $(git rev-list --count main) $(git rev-parse main)"
"$(git --exec-path)/git-daemon" --reuseaddr --listen=127.0.0.1 --port="$port" --base-path="$dir" --export-all \
	--enable=receive-pack --log-destination=none --informative-errors "$dir" &
server=$!
url=git://127.0.0.1:$port/origin.git
until_true git ls-remote "$url"

# A clone whose progress nobody reads any further, with the pack on its way.
mkfifo "$dir/progress"
git clone --progress "$url" "$dir/clone" 2> "$dir/progress" &
clone=$!
exec 5< "$dir/progress"
read -r line <&5
save
cat <&5 > /dev/null
exec 5<&-
wait $clone
echo "clone: $? $(git -C "$dir/clone" rev-parse HEAD)"
git -C "$dir/clone" ls-files -s | md5sum
git -C "$dir/clone" status --porcelain

# Three clones that commit and push at the same time, each as often as it takes.
client() {
	local n tries
	git clone -q "$url" "$dir/client$1" || return
	cd "$dir/client$1" || return
	for n in 1 2; do
		echo "line $n of client $1" >> "by$1"
		git add "by$1" && git commit -q -m "$n by $1" || return
		for ((tries = 0; tries < 100; tries++)); do
			git push -q origin main 2> /dev/null && break
			git pull -q --rebase 2> /dev/null
		done
	done
	[ $tries -lt 100 ]
}
for who in 1 2 3; do
	client $who &
	clients[who]=$!
done
git -C "$dir/clone" repack -a -d -f -q &
repack=$!
sleep 0.2
save
wait $repack
echo "repack: $?"
for who in 1 2 3; do
	wait "${clients[who]}"
	echo "client $who: $?"
done
git rev-list --count main
git log --format=%s main | head -6 | sort
git -C "$dir/clone" pull -q
echo "pull: $?"
cat "$dir/clone/by1" "$dir/clone/by2" "$dir/clone/by3"
git -C "$dir/clone" gc -q --prune=now
echo "gc: $?"
git -C "$dir/clone" count-objects -v | grep -E 'count|packs|garbage'
for repository in origin.git clone; do
	git -C "$dir/$repository" fsck --no-dangling --full --strict 2>&1
	echo "fsck of $repository: $?"
done
git -C "$dir/clone" log -p --all --format=%s -- dir3 | sort | md5sum
git clone -q --depth 5 "$url" "$dir/shallow"
echo "shallow clone: $? $(git -C "$dir/shallow" rev-list --count HEAD)"
git clone -q "$url-no-such" "$dir/none" 2>&1 | grep -o 'no such repository'
