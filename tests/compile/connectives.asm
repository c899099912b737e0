# connectives on process: process.exec
# p0: process.name equals ["nc", "ncat"]
# p1: user.name equals ["root"]
# p2: process.command_line contains ["-z"]
# p3: process.parent.name equals ["nrpe"]
# line 9
    0  ldxb %r4, [%r2]              # byte of p0
    1  jset %r4, 0, +1              # -> 3  p0 true
    2  ja +6                        # -> 9
# line 10
    3  ldxb %r4, [%r2]              # byte of p1
    4  and %r4, 0                   # p1 both
    5  jne %r4, 0, +3               # -> 9  p1 known
    6  ldxb %r4, [%r2]              # byte of p2
    7  and %r4, 0                   # p2 both
    8  jeq %r4, 0, +23              # -> 32  p2 known
# line 1
    9  ldxw %r0, [%r1+12]
   10  jset %r0, 1, +2              # -> 13
   11  mov %r0, 0
   12  exit
# line 9
   13  ldxb %r4, [%r2]              # byte of p0
   14  jset %r4, 0, +3              # -> 18  p0 true
   15  jset %r4, 0, +12             # -> 28  p0 known
   16  ldxb %r4, [%r1]              # state of process.name
   17  jeq %r4, 0, +10              # -> 28
# line 10
   18  ldxb %r4, [%r2]              # byte of p1
   19  jset %r4, 0, +8              # -> 28  p1 true
   20  jset %r4, 0, +2              # -> 23  p1 known
   21  ldxb %r4, [%r1]              # state of user.name
   22  jeq %r4, 0, +5               # -> 28
   23  ldxb %r4, [%r2]              # byte of p2
   24  jset %r4, 0, +3              # -> 28  p2 true
   25  jset %r4, 0, +4              # -> 30  p2 known
   26  ldxb %r4, [%r1]              # state of process.command_line
   27  jne %r4, 0, +2               # -> 30
# line 1
   28  mov %r0, 0
   29  exit
   30  mov %r9, 2
   31  ja +1                        # -> 33
   32  mov %r9, 1
# line 12
   33  ldxb %r4, [%r2]              # byte of p3
   34  jset %r4, 0, +5              # -> 40  p3 true
# line 1
   35  jeq %r9, 1, +2               # -> 38
   36  mov %r0, 2
   37  exit
   38  mov %r0, 1
   39  exit
   40  mov %r0, 0
   41  exit
# worst case 32 fuel
