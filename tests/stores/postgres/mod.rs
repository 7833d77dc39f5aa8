mod breakage;
mod end_to_end;
mod secrets;
mod server;
mod setup;
mod steps;
mod tls;
