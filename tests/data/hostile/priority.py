# Makes itself more important than others.
attempt('lowered its nice value', lambda: os.nice(-5))
attempt('asked for real time', lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10)))
attempt('set the priority of all', lambda: os.setpriority(os.PRIO_USER, 0, -5))
tried()
