# missing on process: process.exec
# p0: process.parent.user.name equals ["root"]
# line 9
    0  ldxb %r4, [%r1]              # state of process.parent.name
    1  jset %r4, 1, +1              # -> 3
    2  ja +5                        # -> 8
    3  ldxb %r4, [%r1]              # state of process.parent.executable
    4  jne %r4, 0, +3               # -> 8
# line 10
    5  ldxb %r4, [%r2]              # byte of p0
    6  jset %r4, 0, +1              # -> 8  p0 true
    7  ja +15                       # -> 23
# line 1
    8  ldxw %r0, [%r1+12]
    9  jset %r0, 1, +2              # -> 12
   10  mov %r0, 0
   11  exit
# line 9
   12  ldxb %r4, [%r1]              # state of process.parent.name
   13  jeq %r4, 0, +5               # -> 19
   14  ldxb %r4, [%r1]              # state of process.parent.executable
   15  jset %r4, 1, +3              # -> 19
# line 10
   16  ldxb %r4, [%r2]              # byte of p0
   17  jset %r4, 0, +1              # -> 19  p0 true
   18  ja +2                        # -> 21
# line 1
   19  mov %r0, 0
   20  exit
   21  mov %r0, 2
   22  exit
   23  mov %r0, 1
   24  exit
# worst case 17 fuel
