# numbers on process: process.exec
# line 1
    0  mov %r6, %r1
# line 13
    1  ldxb %r1, [%r6]              # state of process.interactive
    2  jset %r1, 1, +1              # -> 4
    3  ja +44                       # -> 48
    4  ldxdw %r1, [%r6]             # slot of process.interactive
    5  jeq %r1, 0, +42              # -> 48
# line 9
    6  ldxb %r1, [%r6]              # state of process.pid
    7  jset %r1, 1, +1              # -> 9
    8  ja +39                       # -> 48
    9  ldxdw %r1, [%r6]             # slot of process.pid
   10  jeq %r1, 1, +4               # -> 15
   11  jeq %r1, 2, +3               # -> 15
   12  lddw %r2, 0x12a05f200
   14  jne %r1, %r2, +33            # -> 48
# line 10
   15  ldxb %r1, [%r6]              # state of process.args_count
   16  jset %r1, 1, +1              # -> 18
   17  ja +30                       # -> 48
   18  ldxdw %r1, [%r6]             # slot of process.args_count
   19  mov %r2, 2
   20  call 1027
   21  mov %r1, %r0
   22  jsle %r1, 10, +25            # -> 48
# line 11
   23  ldxb %r1, [%r6]              # state of process.pid
   24  jset %r1, 1, +1              # -> 26
   25  ja +22                       # -> 48
   26  ldxb %r1, [%r6]              # state of process.parent.pid
   27  jset %r1, 1, +1              # -> 29
   28  ja +19                       # -> 48
   29  ldxdw %r1, [%r6]             # slot of process.pid
   30  ldxdw %r2, [%r6]             # slot of process.parent.pid
   31  jeq %r2, 0, +16              # -> 48
   32  jne %r2, -1, +4              # -> 37
   33  mov %r2, %r1
   34  mov %r1, 0
   35  call 1026
   36  ja +2                        # -> 39
   37  sdiv %r1, %r2
   38  mov %r0, %r1
   39  mov %r1, %r0
   40  jne %r1, 3, +7               # -> 48
# line 12
   41  ldxb %r1, [%r6]              # state of process.command_line
   42  jset %r1, 1, +1              # -> 44
   43  ja +4                        # -> 48
   44  mov %r1, %r6
   45  mov %r2, 0                   # number of process.command_line
   46  call 1030
   47  jsgt %r0, 2000, +59          # -> 107
# line 1
   48  ldxw %r0, [%r6+12]
   49  jset %r0, 1, +2              # -> 52
   50  mov %r0, 0
   51  exit
# line 13
   52  ldxb %r1, [%r6]              # state of process.interactive
   53  jeq %r1, 0, +49              # -> 103
   54  jset %r1, 2, +2              # -> 57
   55  ldxdw %r1, [%r6]             # slot of process.interactive
   56  jeq %r1, 0, +46              # -> 103
# line 9
   57  ldxb %r1, [%r6]              # state of process.pid
   58  jeq %r1, 0, +44              # -> 103
   59  jset %r1, 2, +6              # -> 66
   60  ldxdw %r1, [%r6]             # slot of process.pid
   61  jeq %r1, 1, +4               # -> 66
   62  jeq %r1, 2, +3               # -> 66
   63  lddw %r2, 0x12a05f200
   65  jne %r1, %r2, +37            # -> 103
# line 10
   66  ldxb %r1, [%r6]              # state of process.args_count
   67  jeq %r1, 0, +35              # -> 103
   68  jset %r1, 2, +5              # -> 74
   69  ldxdw %r1, [%r6]             # slot of process.args_count
   70  mov %r2, 2
   71  call 1027
   72  mov %r1, %r0
   73  jsle %r1, 10, +29            # -> 103
# line 11
   74  ldxb %r1, [%r6]              # state of process.pid
   75  jeq %r1, 0, +27              # -> 103
   76  ldxb %r1, [%r6]              # state of process.parent.pid
   77  jeq %r1, 0, +25              # -> 103
   78  ldxb %r1, [%r6]              # state of process.pid
   79  jset %r1, 2, +14             # -> 94
   80  ldxb %r1, [%r6]              # state of process.parent.pid
   81  jset %r1, 2, +12             # -> 94
   82  ldxdw %r1, [%r6]             # slot of process.pid
   83  ldxdw %r2, [%r6]             # slot of process.parent.pid
   84  jeq %r2, 0, +18              # -> 103
   85  jne %r2, -1, +4              # -> 90
   86  mov %r2, %r1
   87  mov %r1, 0
   88  call 1026
   89  ja +2                        # -> 92
   90  sdiv %r1, %r2
   91  mov %r0, %r1
   92  mov %r1, %r0
   93  jne %r1, 3, +9               # -> 103
# line 12
   94  ldxb %r1, [%r6]              # state of process.command_line
   95  jeq %r1, 0, +7               # -> 103
   96  jset %r1, 2, +8              # -> 105
   97  mov %r1, %r6
   98  mov %r2, 0                   # number of process.command_line
   99  call 1030
  100  jsgt %r0, 2000, +4           # -> 105
  101  ldxb %r1, [%r6]              # state of process.command_line
  102  jset %r1, 4, +2              # -> 105
# line 1
  103  mov %r0, 0
  104  exit
  105  mov %r0, 2
  106  exit
  107  mov %r0, 1
  108  exit
# worst case 16475 fuel
