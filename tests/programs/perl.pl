#!/usr/bin/perl
# needs: perl
# Hashes, regular expressions, sort, pipes, fork, select, signals.
use strict;
use warnings;
$| = 1;

my %count;
my $seed = 11;
sub rnd { $seed = ($seed * 16807) % 2147483647; return $seed % $_[0] }

my $text = join ' ', map { join '', map { chr(97 + rnd(4)) } 1 .. 1 + rnd(4) } 1 .. 40000;
$count{$_}++ for split / /, $text;
my @top = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
print "words: ", scalar(@top), " $top[0] $count{$top[0]} $top[-1] $count{$top[-1]}\n";
print "\@save\@\n";
my $doubles = () = $text =~ /\b(\w+) \1\b/g;
print "doubles: $doubles\n";
(my $rot = $text) =~ tr/a-d/b-da/;
print "checksum: ", unpack('%32C*', $rot), "\n";

my @kids;
for my $i (1 .. 6) {
	pipe(my $r, my $w) or die;
	my $pid = fork;
	die unless defined $pid;
	if ($pid == 0) {
		close $r;
		my $sum = 0;
		$sum = ($sum * 33 + $_ * $i) % 1000003 for 1 .. 20000;
		print $w "$i $sum\n";
		close $w;
		exit $i;
	}
	close $w;
	push @kids, [$pid, $r];
	print "\@save\@\n" if $i == 3;
}
for my $k (@kids) {
	my $line = readline $k->[1];
	chomp $line;
	waitpid $k->[0], 0;
	print "kid: $line status ", $? >> 8, "\n";
}
my $got = 0;
local $SIG{ALRM} = sub { $got++ };
for (1 .. 3) {
	kill ALRM => $$;
}
print "signals: $got\n";
open my $p, '-|', 'echo from a pipe; exit 2' or die;
print "pipe: ", <$p>;
close $p;
print "status: ", $? >> 8, "\n";
my $file = "/tmp/program.$$";
open my $f, '+>', $file or die;
print $f "line $_\n" for 1 .. 5000;
seek $f, 0, 0;
my $n = grep { /7$/ } <$f>;
print "lines: $n\n";
close $f;
unlink $file or die;
my %h = map { $_ => $_ ** 2 } 1 .. 20000;
my $sum = 0;
$sum += $h{$_} for sort { $a <=> $b } keys %h;
print "squares: $sum\n";
