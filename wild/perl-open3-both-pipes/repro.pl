use strict; use warnings; use IPC::Open3; use Symbol 'gensym';
my $pid = open3(my $in, my $out, my $err = gensym, $^X, '-e', 'print STDERR "warning\n" x 100000; print "done\n"');
close $in;
my @lines = <$out>;
my @warnings = <$err>;
waitpid $pid, 0;
print scalar(@lines), "\n";
