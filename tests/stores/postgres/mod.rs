mod breakage;
mod end_to_end;
mod records;
mod secrets;
mod server;
mod setup;
mod tls;
