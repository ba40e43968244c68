"""What rules of all frameworks build networks with: `Tracer`, in parts."""
